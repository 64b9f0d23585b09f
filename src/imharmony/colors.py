"""What standards say about colors: the weights of luma, and the sRGB encoding."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["BT709_LUMA", "FloatArray", "decode_srgb", "encode_srgb"]

FloatArray = npt.NDArray[np.floating[Any]]

BT709_LUMA = (0.2126, 0.7152, 0.0722)
"""Weights of R, G, B in luma; ITU-R BT.709-6, item 3.2."""


def encode_srgb(linear: FloatArray) -> FloatArray:
    """Encode linear light as sRGB; IEC 61966-2-1.

    Parameters
    ----------
    linear : ndarray of any float dtype and shape
        Linear light, 0 or more; 1 is white.

    Returns
    -------
    ndarray of that shape
        sRGB-encoded; 0 stays 0 and 1 stays 1.

    Examples
    --------
    >>> encode_srgb(np.array([0.0, 0.214, 1.0])).round(2).tolist()
    [0.0, 0.5, 1.0]
    """
    return np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )


def decode_srgb(encoded: FloatArray) -> FloatArray:
    """Turn sRGB-encoded values into linear light; IEC 61966-2-1.

    Parameters
    ----------
    encoded : ndarray of any float dtype and shape
        sRGB-encoded, 0 or more; 1 is white.

    Returns
    -------
    ndarray of that shape
        Linear light; 0 stays 0 and 1 stays 1.

    Examples
    --------
    >>> decode_srgb(np.array([0.0, 0.5, 1.0])).round(3).tolist()
    [0.0, 0.214, 1.0]
    """
    return np.where(
        encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4
    )
