"""Embedded color profiles, read by the LittleCMS inside libvips.

Networks and curves speak sRGB-encoded values (IEC 61966-2-1). A photo with another
profile is shown to the network as sRGB, and its curves are applied between a
conversion to linear light with sRGB's primaries, in floats that may leave [0, 1]
(so no color of a wide gamut is lost on the way), and the conversion back.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony.colors import FloatArray, decode_srgb, encode_srgb
from imharmony.errors import warn

__all__ = [
    "SRGB_TOLERANCE",
    "apply_in_srgb",
    "convert",
    "is_srgb",
    "recolor_in_srgb",
    "to_srgb",
]

SRGB_TOLERANCE = 1 / 255
"""Profiles whose colors are nowhere farther from sRGB's are treated as sRGB: the
many makers' versions of it, which differ in rounding."""

_FIELD = "icc-profile-data"
_INTENT = "relative"  # colorimetric: matrix profiles know no other
_STEPS = {"uchar": 257, "ushort": 1, "float": 65535}  # of 16 bit, in one of each
_NUM_SAMPLES = 2**16  # of a curve, for floats; a power of two meets K + 1 knots exactly


def is_srgb(photo: pyvips.Image) -> bool:
    """Whether a photo's values are sRGB-encoded, or must be taken as such.

    That is the case without a profile, with one within `SRGB_TOLERANCE` of sRGB, and
    with one that LittleCMS cannot use for these channels.

    Warns
    -----
    HarmonizeWarning
        In the last case.

    Examples
    --------
    >>> from imharmony.images.photo import from_array
    >>> photo = from_array(np.zeros((2, 3, 3), dtype=np.uint8))
    >>> is_srgb(photo), is_srgb(photo.icc_transform("p3"))
    (True, False)
    """
    if not photo.get_typeof(_FIELD):
        return True
    distance = _measure_distance(
        bytes(photo.get(_FIELD)), photo.bands - photo.hasalpha()
    )
    if distance is None:
        msg = "the embedded color profile cannot be used; colors are taken as sRGB"
        warn(msg)
        return True
    return distance <= SRGB_TOLERANCE


def to_srgb(color: pyvips.Image) -> pyvips.Image:
    """Convert gray or RGB channels with an embedded profile to sRGB.

    Relative colorimetric, clipped to [0, 1]; 3 channels of 16 bit. The profile must
    be one that `is_srgb` finds usable.

    Notes
    -----
    By way of XYZ: asked for 16 bit to 16 bit at once, LittleCMS looks up a coarse
    table, which is off by up to ten 8-bit steps in dark saturated colors.
    """
    return _to_linear(color).colourspace("rgb16")


def convert(photo: pyvips.Image, like: pyvips.Image) -> pyvips.Image:
    """Convert a photo's colors to the profile of another photo; alpha is kept.

    Parameters
    ----------
    photo : pyvips.Image
        1 to 4 channels, 8 or 16 bit or float.
    like : pyvips.Image
        Gray or RGB; only its profile is read.

    Returns
    -------
    pyvips.Image
        `photo` itself where both are sRGB or share one profile; otherwise RGB or gray
        as the profile says, 16 bit.

    Examples
    --------
    >>> from imharmony.images.photo import from_array
    >>> photo = from_array(np.zeros((2, 3, 3), dtype=np.uint8))
    >>> convert(photo, photo) is photo
    True
    """
    own, other = (
        b"" if is_srgb(image) else bytes(image.get(_FIELD)) for image in (photo, like)
    )
    if own == other:
        return photo
    num_colors = photo.bands - photo.hasalpha()
    color = _to_integers(photo.extract_band(0, n=num_colors))
    if not own and num_colors == 1:
        color = color.bandjoin([color, color]).copy(interpretation="srgb")
    connection = (
        color.icc_import(embedded=True, intent=_INTENT, pcs="xyz")
        if own
        else color.icc_import(input_profile="srgb", intent=_INTENT, pcs="xyz")
    )
    if other:
        connection = _attach_profile(connection, other)
        converted = connection.icc_export(intent=_INTENT, pcs="xyz", depth=16)
    else:
        converted = connection.icc_export(
            output_profile="srgb", intent=_INTENT, pcs="xyz", depth=16
        )
    if photo.hasalpha():
        converted = converted.bandjoin(_to_integers(photo.extract_band(num_colors)))
    return converted.copy(interpretation="rgb16" if converted.bands > 2 else "grey16")


def apply_in_srgb(
    color: pyvips.Image, function: Callable[[FloatArray], FloatArray]
) -> pyvips.Image:
    """Map channels whose profile is not sRGB, as if they were sRGB.

    Parameters
    ----------
    color : pyvips.Image
        Gray or RGB with a usable embedded profile, 8 or 16 bit or float.
    function : callable
        Maps each sRGB-encoded value of [0, 1] by itself; takes and gives an array
        (N, 3). For gray, the same for all three channels.

    Returns
    -------
    pyvips.Image
        Channels, format and profile of `color`. Colors outside sRGB keep their
        distance from it, per channel in linear light; what then lies outside the
        profile's own gamut is clipped by LittleCMS.

    Notes
    -----
    LittleCMS rounds inside: there and back alone moves a 16-bit value by up to 180
    steps. So the difference that the function makes there is added to the values.
    """
    linear = _to_linear(color)

    def map_light(light: FloatArray) -> FloatArray:
        return decode_srgb(np.clip(function(encode_srgb(light)), 0, 1))

    mapped = map_floats(linear, map_light)
    return _add_change(color, linear, mapped)


def recolor_in_srgb(
    color: pyvips.Image, recolor: Callable[[pyvips.Image], pyvips.Image]
) -> pyvips.Image:
    """Change the colors of channels whose profile is not sRGB, as if they were sRGB.

    Parameters
    ----------
    color : pyvips.Image
        As for `apply_in_srgb`.
    recolor : callable
        Takes and gives floats of 3 channels, sRGB-encoded. Those outside [0, 1] are
        to keep their distance from it.

    Returns
    -------
    pyvips.Image
        As of `apply_in_srgb`.
    """
    linear = _to_linear(color)
    recolored = recolor(map_floats(linear, encode_srgb))
    return _add_change(color, linear, map_floats(recolored, decode_srgb))


def _add_change(
    color: pyvips.Image, linear: pyvips.Image, mapped: pyvips.Image
) -> pyvips.Image:
    """Add to the values what a change of the linear light makes of them."""
    before, after = (
        image.copy(interpretation="scrgb")
        .colourspace("xyz")
        .icc_export(intent=_INTENT, pcs="xyz", depth=16)
        for image in (linear, mapped)
    )
    change = (after.cast("int") - before) / _STEPS[color.format]
    moved = color + (change if color.format == "float" else change.rint())
    return moved.cast(color.format).copy(interpretation=color.interpretation)


def map_floats(
    image: pyvips.Image, function: Callable[[FloatArray], FloatArray]
) -> pyvips.Image:
    """Map float channels through a function of [0, 1] that is tabulated once.

    Parameters
    ----------
    image : pyvips.Image
        1 or 3 channels, float. Values outside [0, 1] keep their distance from its
        nearer end.
    function : callable
        Takes and gives an array (N, 3); rather smooth. Between samples 2**-16 apart it
        is interpolated linearly.
    """
    samples = np.arange(_NUM_SAMPLES + 1) / _NUM_SAMPLES
    heights = function(np.repeat(samples[:, None], 3, axis=1))  # (N + 1, 3)
    heights = heights[:, : image.bands]
    tables = [heights[:-1], np.diff(heights, axis=0)]
    value, step = (
        pyvips.Image.new_from_array(np.ascontiguousarray(table[np.newaxis], np.float32))
        for table in tables
    )
    inside = image.clamp()
    scaled = inside * _NUM_SAMPLES
    index = scaled.floor().cast("ushort")  # 1.0 saturates at the last piece
    mapped = index.maplut(value) + index.maplut(step) * (scaled - index)
    return (mapped + (image - inside)).cast("float")


def _to_linear(color: pyvips.Image) -> pyvips.Image:
    """Decode by the embedded profile: linear light, sRGB's primaries, not clipped."""
    xyz = _to_integers(color).icc_import(embedded=True, intent=_INTENT, pcs="xyz")
    return xyz.colourspace("scrgb")


def _to_integers(image: pyvips.Image) -> pyvips.Image:
    """Clip floats and give them 16 bit, since LittleCMS reads no floats here."""
    if image.format != "float":
        return image
    whole = (image.clamp() * 65535).rint().cast("ushort")
    return whole.copy(interpretation="rgb16" if image.bands > 2 else "grey16")


def _attach_profile(image: pyvips.Image, profile: bytes) -> pyvips.Image:
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, _FIELD, profile)
    return image


@lru_cache(maxsize=32)
def _measure_distance(profile: bytes, num_colors: int) -> float | None:
    """Largest difference from sRGB over all colors, of [0, 1]; None if unusable."""
    steps = np.linspace(0, 65535, 17).round()
    if num_colors == 3:
        grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
        name = "rgb16"
    else:
        grid, name = np.linspace(0, 65535, 256).round().reshape(1, -1, 1), "grey16"
    pixels: npt.NDArray[np.uint16] = grid.astype(np.uint16)
    probe = pyvips.Image.new_from_array(pixels).copy(interpretation=name)
    probe = _attach_profile(probe, profile)
    try:
        # libvips puts another profile in the place of one that cannot be used.
        one, other = (
            probe.icc_import(embedded=True, input_profile=instead, pcs="xyz").numpy()
            for instead in ("srgb", "p3")
        )
        as_srgb = to_srgb(probe).numpy()
        probe.icc_import(embedded=True, pcs="xyz").icc_export(pcs="xyz").numpy()
    except pyvips.Error:
        return None
    if (one != other).any():
        return None
    return float(np.abs(as_srgb.astype(np.float64) - pixels).max()) / 65535
