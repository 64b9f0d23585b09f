"""Color spaces that a file names in another way than by an ICC profile.

Such ways are gAMA, cHRM and cICP of a PNG, nclx of an AVIF, tags of a TIFF, and EXIF.
They are turned into an ICC profile, so that the network sees what a viewer shows. What
the file itself said is kept beside the profile and written back.
"""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony.errors import ImageError

__all__ = [
    "ADOBE_RGB",
    "ColorTags",
    "from_cicp",
    "from_gamma",
    "from_table",
    "make_profile",
    "needs_no_profile",
    "remember",
]

Floats = npt.NDArray[np.float64]

_D65 = (0.3127, 0.3290)
_BT709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65)
# ITU-T H.273, table 2: red, green, blue, white.
_PRIMARIES = {
    1: _BT709,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), (0.310, 0.316)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
# H.273, table 3, as parameters g, a, b, c, d of ICC.1's parametric curve of type 3:
# (a x + b)^g from d on, c x below.
_SRGB = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_BT709_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_TRANSFERS: dict[int, tuple[float, ...]] = {
    1: _BT709_CURVE,
    4: (2.2,),
    5: (2.8,),
    6: _BT709_CURVE,
    8: (1.0,),
    13: _SRGB,
    14: _BT709_CURVE,
    15: _BT709_CURVE,
}
_TOO_BRIGHT = {16: "PQ (SMPTE ST 2084)", 18: "HLG (ARIB STD-B67)"}
_UNSPECIFIED = 2
_SRGB_GAMMA = 1 / 2.2
_GAMMA_TOLERANCE = 0.05  # as libpng's: nearer ones are meant to be sRGB
_SAID_BY = "imharmony-color-told-by"
"""Field of a photo: the format of a file that named its color space without ICC."""
_MAX_ENTRIES = 4096
_D50 = np.array([0.9642, 1.0, 0.8249])  # ICC.1, 7.2.16
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


@dataclass(frozen=True)
class ColorTags:
    """Primaries and transfer of a picture."""

    primaries: tuple[tuple[float, float], ...]
    """x, y of red, green, blue and white; CIE 1931."""
    transfer: tuple[float, ...]
    """An exponent, parameters g, a, b, c, d, or a table of light, 0 to 1."""

    @property
    def is_srgb(self) -> bool:
        """Whether that is what we take without any word."""
        has_srgb_primaries = np.allclose(self.primaries, _BT709, atol=0.002)
        return has_srgb_primaries and self.transfer == _SRGB


ADOBE_RGB = ColorTags(
    ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65),
    (563 / 256,),
)
"""Adobe RGB (1998) Color Image Encoding, 4.3."""


def from_cicp(
    primaries: int, transfer: int, name: str, *, full_range: bool = True
) -> ColorTags:
    """Understand coding-independent code points, ITU-T H.273.

    Raises
    ------
    ImageError
        If the transfer is one of HDR, or primaries or transfer are ones we cannot
        honour.
    """
    if transfer in _TOO_BRIGHT:
        raise ImageError(
            f"{name}: expected a picture of standard dynamic range, got "
            f"{_TOO_BRIGHT[transfer]}; convert it to SDR first"
        )
    if not full_range:
        raise ImageError(f"{name}: expected samples of full range, got narrow range")
    primaries = 1 if primaries == _UNSPECIFIED else primaries
    transfer = 13 if transfer == _UNSPECIFIED else transfer
    if primaries not in _PRIMARIES or transfer not in _TRANSFERS:
        raise ImageError(
            f"{name}: expected colors that can be shown on a screen, got primaries "
            f"{primaries} and transfer {transfer} of ITU-T H.273; convert it to sRGB"
        )
    return ColorTags(_PRIMARIES[primaries], _TRANSFERS[transfer])


def from_gamma(
    gamma: float | None, chromaticities: tuple[float, ...] | None
) -> ColorTags:
    """Understand PNG's gAMA and cHRM.

    Parameters
    ----------
    gamma : float or None
        Exponent of encoding, such as 0.45455.
    chromaticities : 8 floats or None
        x and y of white, red, green, blue, as cHRM has them.
    """
    primaries: tuple[tuple[float, float], ...] = _BT709
    if chromaticities is not None:
        white, red, green, blue = zip(
            chromaticities[::2], chromaticities[1::2], strict=True
        )
        primaries = (red, green, blue, white)
    is_usual = np.allclose(primaries, _BT709, atol=0.002)
    if gamma is None:
        return ColorTags(primaries, _SRGB)
    if is_usual and abs(gamma / _SRGB_GAMMA - 1) < _GAMMA_TOLERANCE:
        return ColorTags(_BT709, _SRGB)
    return ColorTags(primaries, (1 / gamma,))


def from_table(
    table: Floats | None, chromaticities: tuple[float, ...] | None
) -> ColorTags:
    """Understand TIFF's TransferFunction, WhitePoint and PrimaryChromaticities.

    Parameters
    ----------
    table : ndarray of float64, shape (N,), in [0, 1], or None
        The light of N values evenly spread from black to white.
    chromaticities : 8 floats or None
        x and y of white, red, green, blue.
    """
    tags = from_gamma(None, chromaticities)
    if table is None:
        return tags
    # More entries than that, programs that read profiles refuse.
    places = np.linspace(0, len(table) - 1, min(len(table), _MAX_ENTRIES))
    light = np.interp(places, np.arange(len(table)), table)
    if np.allclose(
        light, _decode_light(np.linspace(0, 1, len(light)), _SRGB), atol=0.002
    ):
        return tags
    return ColorTags(tags.primaries, tuple(light.tolist()))


def _decode_light(value: Floats, transfer: tuple[float, ...]) -> Floats:
    g, a, b, c, d = transfer
    return np.where(value >= d, (a * value + b) ** g, c * value)


def make_profile(tags: ColorTags, *, is_gray: bool) -> bytes:
    """Write an ICC profile, ICC.1:2010 (version 4).

    Raises
    ------
    ValueError
        If the primaries span no triangle.
    """
    curve = _encode_curve(tags.transfer)
    white = _to_xyz(tags.primaries[3])
    adapt = (
        np.linalg.inv(_BRADFORD)
        @ np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white))
        @ _BRADFORD
    )
    parts = {
        b"desc": _encode_text("imharmony: as the file says"),
        b"cprt": _encode_text("CC0"),
        b"wtpt": _encode_numbers(b"XYZ ", _D50),
        b"chad": _encode_numbers(b"sf32", adapt.ravel()),
    }
    if is_gray:
        parts[b"kTRC"] = curve
    else:
        columns = np.stack([_to_xyz(point) for point in tags.primaries[:3]], axis=1)
        try:
            scale = np.linalg.solve(columns, white)
        except np.linalg.LinAlgError as error:
            raise ValueError("expected primaries that span a triangle") from error
        adapted = adapt @ (columns * scale)
        for i, letter in enumerate((b"r", b"g", b"b")):
            parts[letter + b"XYZ"] = _encode_numbers(b"XYZ ", adapted[:, i])
            parts[letter + b"TRC"] = curve
    table, data = struct.pack(">I", len(parts)), b""
    start = 128 + 4 + 12 * len(parts)
    for signature, value in parts.items():
        table += signature + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    size = start + len(data)
    space = b"GRAY" if is_gray else b"RGB "
    head = struct.pack(
        ">I4s4s4s4s4s", size, b"", b"\4\x20\0\0", b"mntr", space, b"XYZ "
    )
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp"
    head = head.ljust(64, b"\0") + struct.pack(">I", 1)  # relative colorimetric
    head += struct.pack(">3i", *(round(x * 65536) for x in _D50))
    return head.ljust(128, b"\0") + table + data


def remember(photo: pyvips.Image, tags: ColorTags, file_format: str) -> None:
    """Let what a file says of its colors count as its profile.

    Primaries that span no triangle are damaged, and nothing is noted.

    Parameters
    ----------
    photo : pyvips.Image
        As read.
    tags : ColorTags
    file_format : str
        The format of the file, such as "png". A photo written back to that format
        needs no profile: the file's own words stay.
    """
    try:
        profile = make_profile(tags, is_gray=photo.bands < 3)
    except ValueError:
        return
    photo.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    photo.set_type(pyvips.GValue.gstr_type, _SAID_BY, file_format)


def needs_no_profile(photo: pyvips.Image, file_format: str) -> bool:
    """Whether a file in this format says the photo's colors in its own words."""
    return bool(photo.get_typeof(_SAID_BY)) and photo.get(_SAID_BY) == file_format


def _to_xyz(point: tuple[float, float]) -> Floats:
    x, y = point
    if y <= 0:
        raise ValueError("expected chromaticities above 0")
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _encode_numbers(signature: bytes, values: Floats) -> bytes:
    fixed = [round(float(value) * 65536) for value in values]
    return signature + bytes(4) + struct.pack(f">{len(fixed)}i", *fixed)


def _encode_curve(transfer: tuple[float, ...]) -> bytes:
    if len(transfer) > 5:
        levels = [round(light * 65535) for light in transfer]
        head = struct.pack(">4sII", b"curv", 0, len(levels))
        return head + struct.pack(f">{len(levels)}H", *levels)
    function_type = 0 if len(transfer) == 1 else 3
    fixed = [round(value * 65536) for value in transfer]
    head = struct.pack(">4sIHH", b"para", 0, function_type, 0)
    return head + struct.pack(f">{len(fixed)}i", *fixed)


def _encode_text(words: str) -> bytes:
    encoded = words.encode("utf-16-be")
    head = struct.pack(
        ">4sIII2s2sII", b"mluc", 0, 1, 12, b"en", b"US", len(encoded), 28
    )
    return head + encoded
