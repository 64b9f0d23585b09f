"""Transforms of color, applied within the mask of a photo."""
