"""Photos with embedded profiles. The profiles are written here, byte by byte.

The oracle is NumPy: linear light by each space's published curve, XYZ by its matrix,
with no color management program in between.
"""

import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import pyvips

from imharmony.curves import Curves
from imharmony.errors import HarmonizeWarning
from imharmony.harmonizer import Harmonizer
from imharmony.images import profiles
from imharmony.images.compositing import paste
from imharmony.images.masks import mask_from_array
from imharmony.images.photo import from_array, to_array
from imharmony.inference.thumbnails import make_thumbnails
from imharmony.rendering.render import render

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[Any]

# Of 16-bit values, in 8-bit steps: two tables, LittleCMS, and the way back to sRGB.
LOOK_MAX, LOOK_MEAN = 1.0, 0.1
# Of 8-bit values: what rounding to the profile's 8 bit alone costs, times this for
# being rounded twice.
TWICE_ROUNDED = 1.5
# Of thumbnails: the profile's values are shrunk, not sRGB's.
THUMBNAIL_MAX = 1.0


class Space(NamedTuple):
    """Colorants adapted to D50, columns R, G, B, and the exponent of its curve."""

    to_xyz: Floats
    gamma: float


SPACES = {
    # Adobe RGB (1998), 4.3.1, adapted by Bradford's matrix; exponent 2 51/256.
    "adobe rgb": Space(
        np.array(
            [
                [0.60974, 0.20528, 0.14919],
                [0.31111, 0.62567, 0.06322],
                [0.01947, 0.06087, 0.74457],
            ]
        ),
        563 / 256,
    ),
    # ISO 22028-2, annex; its exponent without the linear part.
    "prophoto": Space(
        np.array(
            [
                [0.79767, 0.13519, 0.03134],
                [0.28804, 0.71188, 0.00008],
                [0.00000, 0.00000, 0.82510],
            ]
        ),
        1.8,
    ),
    # IEC 61966-2-1 adapted to D50, in linear light.
    "linear": Space(
        np.array(
            [
                [0.43607, 0.38515, 0.14307],
                [0.22249, 0.71687, 0.06061],
                [0.01392, 0.09708, 0.71410],
            ]
        ),
        1.0,
    ),
}
SRGB_TO_XYZ = SPACES["linear"].to_xyz


def icc_profile(space: Space, *, gray: bool = False) -> bytes:
    """A version 2 matrix profile; ICC.1:2001-04, 6.1, 6.3 and 6.5."""

    def fixed(*numbers: float) -> bytes:
        return b"".join(struct.pack(">i", round(n * 65536)) for n in numbers)

    white = b"XYZ \0\0\0\0" + fixed(0.9642, 1.0, 0.8249)
    exponent = struct.pack(">H", round(space.gamma * 256))
    curve = b"curv\0\0\0\0" + struct.pack(">I", 1) + exponent
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": text, b"cprt": b"text\0\0\0\0none\0", b"wtpt": white}
    if gray:
        tags[b"kTRC"] = curve
    else:
        for name, column in zip((b"r", b"g", b"b"), space.to_xyz.T, strict=True):
            tags[name + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*column)
            tags[name + b"TRC"] = curve
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += name + struct.pack(">II", start + len(data), len(content))
        data += padded
    kind = b"GRAY" if gray else b"RGB "
    head = struct.pack(
        ">I4sI4s4s4s", start + len(data), bytes(4), 0x02100000, b"mntr", kind, b"XYZ "
    )
    head += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1.0, 0.8249)
    return head.ljust(128, b"\0") + table + data


def encode(linear: Floats) -> Floats:
    low = linear <= 0.0031308
    return np.where(low, 12.92 * linear, 1.055 * linear.clip(0) ** (1 / 2.4) - 0.055)


def decode(encoded: Floats) -> Floats:
    low = encoded <= 0.04045
    return np.where(low, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def into(space: Space, srgb: Floats) -> Floats:
    """Values of a space for sRGB-encoded ones."""
    matrix = np.linalg.inv(space.to_xyz) @ SRGB_TO_XYZ
    return (decode(srgb) @ matrix.T).clip(0, 1) ** (1 / space.gamma)


def out_of(space: Space, values: Floats) -> Floats:
    matrix = np.linalg.inv(SRGB_TO_XYZ) @ space.to_xyz
    return encode(values**space.gamma @ matrix.T)


def scene(size: tuple[int, int] = (60, 80)) -> Floats:
    """sRGB-encoded colors from 0.1 to 0.9, smooth."""
    y, x = np.mgrid[0 : 1 : size[0] * 1j, 0 : 1 : size[1] * 1j]
    waves = [np.sin(7 * x + 3 * y), np.cos(5 * y - x), np.sin(9 * x * y + 1)]
    return 0.5 + 0.4 * np.stack(waves, axis=-1)


def as_dtype(values: Floats, dtype: str) -> Pixels:
    if dtype == "float32":
        return values.astype(np.float32)
    return np.rint(values * np.iinfo(dtype).max).astype(dtype)


def as_floats(pixels: Pixels) -> Floats:
    top = 1.0 if pixels.dtype == np.float32 else float(np.iinfo(pixels.dtype).max)
    return pixels / np.float64(top)


def with_profile(image: pyvips.Image, profile: bytes) -> pyvips.Image:
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


def wide_photo(name: str, dtype: str, srgb: Floats) -> pyvips.Image:
    image = from_array(as_dtype(into(SPACES[name], srgb), dtype))
    return with_profile(image, icc_profile(SPACES[name]))


def everywhere(size: tuple[int, int]) -> pyvips.Image:
    return mask_from_array(np.ones(size, bool), size=size)


def disc(size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    y, x = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j]
    inside: npt.NDArray[np.bool_] = x**2 + y**2 < 0.4
    return inside


# Smooth as a network's curves are: gamma 0.7, identity, gamma 1.4.
KNOTS = np.arange(65) / 64
CURVES = Curves((KNOTS,) * 3, (KNOTS**0.7, KNOTS, KNOTS**1.4))


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_look_is_that_of_the_srgb_version(name: str, dtype: str) -> None:
    srgb = scene()
    rendered = render(wide_photo(name, dtype, srgb), everywhere((60, 80)), CURVES)
    shown = out_of(SPACES[name], as_floats(to_array(rendered)))
    difference = np.abs(shown - CURVES(srgb)) * 255
    assert difference.max() < LOOK_MAX
    assert difference.mean() < LOOK_MEAN


@pytest.mark.parametrize("name", SPACES)
def test_look_at_8_bit_is_as_good_as_rounding_allows(name: str) -> None:
    srgb = scene()
    photo = wide_photo(name, "uint8", srgb)
    stored = np.abs(out_of(SPACES[name], as_floats(to_array(photo))) - srgb)
    rendered = to_array(render(photo, everywhere((60, 80)), CURVES))
    difference = np.abs(out_of(SPACES[name], as_floats(rendered)) - CURVES(srgb))
    assert difference.mean() < TWICE_ROUNDED * stored.mean()


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_background_keeps_every_bit_in_every_profile(name: str, dtype: str) -> None:
    photo, mask = wide_photo(name, dtype, scene()), disc((60, 80))
    rendered = render(photo, mask_from_array(mask, size=(60, 80)), CURVES)
    before, after = to_array(photo), to_array(rendered)
    assert after.dtype == before.dtype
    assert after[~mask].tobytes() == before[~mask].tobytes()
    assert (after[mask] != before[mask]).mean() > 0.5


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_values_a_curve_leaves_alone_are_not_moved_by_the_conversion(
    dtype: str,
) -> None:
    # From 0.5 on the curve is the identity; the scene is brighter than that.
    knots = np.array([0.0, 0.25, 0.5, 1.0])
    gentle = Curves((knots,) * 3, (np.array([0.0, 0.35, 0.5, 1.0]),) * 3)
    photo = wide_photo("prophoto", dtype, 0.55 + 0.4 * scene())
    rendered = render(photo, everywhere((60, 80)), gentle)
    np.testing.assert_allclose(
        as_floats(to_array(rendered)), as_floats(to_array(photo)), rtol=0, atol=1e-6
    )


def test_colors_outside_srgb_stay_outside() -> None:
    # ProPhoto's own red and green, which sRGB cannot show; a slightly brighter curve.
    pixels = np.array([[[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]])
    photo = from_array(as_dtype(pixels, "uint16"))
    photo = with_profile(photo, icc_profile(SPACES["prophoto"]))
    brighter = Curves((KNOTS,) * 3, (KNOTS**0.9,) * 3)
    rendered = as_floats(to_array(render(photo, everywhere((1, 2)), brighter)))
    shown = rendered**1.8 @ SPACES["prophoto"].to_xyz.T
    in_srgb = shown @ np.linalg.inv(SRGB_TO_XYZ).T
    assert in_srgb.min() < -0.03
    assert in_srgb.max() > 1.0 or rendered.max() > 0.8


def test_float_highlights_above_white_survive_a_profile() -> None:
    photo = from_array(np.full((2, 2, 3), 3.0, np.float32))
    photo = with_profile(photo, icc_profile(SPACES["linear"]))
    rendered = to_array(render(photo, everywhere((2, 2)), CURVES))
    np.testing.assert_allclose(rendered, 3.0, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", SPACES)
def test_network_sees_nearly_the_srgb_thumbnails(name: str) -> None:
    srgb = scene((600, 800))
    mask = mask_from_array(disc((600, 800)), size=(600, 800))
    plain = make_thumbnails(from_array(as_dtype(srgb, "uint16")), mask, size=(64, 64))
    wide = make_thumbnails(wide_photo(name, "uint16", srgb), mask, size=(64, 64))
    for part in ("composite", "foreground"):
        difference = np.abs(getattr(plain, part) - getattr(wide, part)) * 255
        assert difference.max() < THUMBNAIL_MAX


@pytest.mark.parametrize("name", SPACES)
def test_predicted_curves_are_those_of_the_srgb_version(name: str) -> None:
    srgb = scene((300, 400))
    srgb[disc((300, 400))] *= 0.5
    mask = mask_from_array(disc((300, 400)), size=(300, 400))
    harmonizer = Harmonizer()
    plain = harmonizer.predict(from_array(as_dtype(srgb, "uint16")), mask).curves
    wide = harmonizer.predict(wide_photo(name, "uint16", srgb), mask).curves
    assert not plain.is_identity
    ramp = np.repeat(KNOTS[:, None], 3, axis=1)
    assert np.abs(plain(ramp) - wide(ramp)).max() * 255 < THUMBNAIL_MAX


def test_gray_photo_with_a_gray_profile_gets_the_look_of_its_srgb_version() -> None:
    gray = np.linspace(0.1, 0.9, 50).reshape(1, 50, 1)
    stored = decode(gray) ** (1 / 1.8)
    photo = from_array(as_dtype(stored, "uint16"))
    photo = with_profile(photo, icc_profile(SPACES["prophoto"], gray=True))
    rendered = render(photo, everywhere((1, 50)), CURVES)
    assert rendered.bands == 1
    shown = encode(as_floats(to_array(rendered)) ** 1.8)
    expected = CURVES.luminance()(np.repeat(gray, 3, axis=-1))[..., :1]
    assert np.abs(shown - expected).max() * 255 < LOOK_MAX


def test_alpha_is_not_converted() -> None:
    pixels = as_dtype(np.full((4, 4, 4), 0.3), "uint8")
    photo = with_profile(from_array(pixels), icc_profile(SPACES["adobe rgb"]))
    rendered = to_array(render(photo, everywhere((4, 4)), CURVES))
    assert (rendered[..., 3] == pixels[..., 3]).all()
    assert (rendered[..., 0] != pixels[..., 0]).all()


def test_profile_of_a_maker_that_is_srgb_is_taken_as_srgb() -> None:
    pixels = as_dtype(scene(), "uint8")
    profile = bytes(pyvips.Image.profile_load("srgb"))
    tagged = with_profile(from_array(pixels), profile)
    assert profiles.is_srgb(tagged)
    mask = everywhere((60, 80))
    plain, same = (
        to_array(render(p, mask, CURVES)) for p in (from_array(pixels), tagged)
    )
    assert (plain == same).all()


@pytest.mark.parametrize(
    "profile",
    [
        b"junk",
        icc_profile(SPACES["linear"], gray=True),
        icc_profile(SPACES["linear"])[:200],
    ],
    ids=["junk", "of another kind", "cut off"],
)
def test_unusable_profile_is_said_to_be_ignored(profile: bytes) -> None:
    photo = with_profile(from_array(as_dtype(scene(), "uint8")), profile)
    with pytest.warns(
        HarmonizeWarning, match="profile cannot be used; colors are taken"
    ):
        assert profiles.is_srgb(photo)


def test_cutout_is_converted_to_the_profile_of_the_background() -> None:
    color = np.array([0.7, 0.4, 0.2])
    cutout = from_array(as_dtype(np.full((4, 4, 4), [*color, 1.0]), "uint16"))
    background = wide_photo("prophoto", "uint16", scene((8, 8)))
    pasted = paste(cutout, background, at=(2, 2))
    shown = out_of(SPACES["prophoto"], as_floats(to_array(pasted.composite))[2:6, 2:6])
    assert np.abs(shown - color).max() * 255 < LOOK_MAX


def test_wide_cutout_is_converted_to_srgb() -> None:
    color = np.array([0.7, 0.4, 0.2])
    stored = [*into(SPACES["adobe rgb"], color), 1.0]
    cutout = from_array(as_dtype(np.full((4, 4, 4), stored), "uint16"))
    cutout = with_profile(cutout, icc_profile(SPACES["adobe rgb"]))
    pasted = paste(cutout, from_array(as_dtype(scene((8, 8)), "uint16")), at=(2, 2))
    shown = as_floats(to_array(pasted.composite))[2:6, 2:6]
    assert np.abs(shown - color).max() * 255 < LOOK_MAX


def test_gray_cutout_stays_neutral_on_a_wide_background() -> None:
    cutout = from_array(as_dtype(np.full((4, 4, 2), [0.5, 1.0]), "uint16"))
    background = wide_photo("prophoto", "uint16", scene((8, 8)))
    pasted = paste(cutout, background, at=(2, 2))
    shown = out_of(SPACES["prophoto"], as_floats(to_array(pasted.composite))[2:6, 2:6])
    assert np.abs(shown - 0.5).max() * 255 < LOOK_MAX
