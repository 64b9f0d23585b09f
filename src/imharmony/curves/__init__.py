"""Color curves: what a network predicts, and what is rendered. Pure NumPy."""

from imharmony.curves.curves import CHANNELS, MIN_SLOPE_SUM, Curves

__all__ = ["CHANNELS", "MIN_SLOPE_SUM", "Curves"]
