"""Networks that give a small picture, carried to the whole photo.

The networks are written by hand and change light and tone by known formulas, so what
they should have done to the photo at its own size is known as well.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from imharmony.colors import BT709_LUMA
from imharmony.errors import HarmonizeWarning, UsageError
from imharmony.harmonizer import Harmonizer
from imharmony.images import photo, profiles
from imharmony.images.files import read_photo, write_photo
from imharmony.images.mask_files import read_mask
from imharmony.images.masks import mask_from_array
from imharmony.inference.picture_network import PictureNetwork
from imharmony.rendering import render as render_module
from imharmony.rendering.bilateral_grid import BilateralGrid
from imharmony.rendering.render import render
from tests.images.test_profiles import SPACES, decode, encode, icc_profile, with_profile
from tests.onnx_files import write_picture_weights

Pixels = npt.NDArray[Any]

H, W = 240, 320
SMALL = 64
DTYPES = ("uint8", "uint16", "float32")
FULL = {"uint8": 255, "uint16": 65535, "float32": 1}

# A gradient of light across, for thumbnail and photo alike: from 1 / 2 to 5 / 4.
RISE = (0.5, 0.75)
# From a warm light on the left to a cold one on the right.
WARM, COLD = np.array([1.1, 0.9, 0.6]), np.array([0.6, 0.9, 1.1])


def across(length: int) -> Pixels:
    """Centers of pixels from left to right, in [0, 1]."""
    return (np.arange(length) + 0.5) / length


def gradient(length: int) -> Pixels:
    """Gain by place, (length, 3)."""
    rise: Pixels = RISE[0] + RISE[1] * across(length)[:, None] * np.ones(3)
    return rise


def two_lights(length: int) -> Pixels:
    share = across(length)[:, None]
    mixed: Pixels = (1 - share) * WARM + share * COLD
    return mixed


def as_input(gain: Pixels) -> Pixels:
    """Turn (w, 3) into (1, 3, 1, w)."""
    return gain.T[None, :, None]


def scene(dtype: str = "uint8", num_channels: int = 3) -> Pixels:
    """Waves, stripes and some noise; values up to 0.75, so that no gain clips them."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:H, :W]
    waves = [
        0.4 + 0.2 * np.sin(x / (17 + 5 * c) + y / 23 + c) + 0.1 * np.sin(y / 3)
        for c in range(num_channels)
    ]
    values = np.stack(waves, axis=-1) + rng.normal(0, 0.01, (H, W, num_channels))
    values = values.clip(0, 1)
    if num_channels in (2, 4):
        values[..., -1] = 0.5 + 0.4 * np.cos(x / 40)
    image: Pixels = (values * FULL[dtype]).astype(dtype)
    return image


def disc(softness: float = 1.0) -> Pixels:
    y, x = np.mgrid[:H, :W]
    distance = np.hypot(y - 125, x - 150)
    mask: Pixels = (255 * ((80 - distance) / softness).clip(0, 1)).astype(np.uint8)
    return mask


def load(folder: Path, **network: Any) -> Harmonizer:
    size = network.pop("size", (SMALL, SMALL))
    path = write_picture_weights(folder, size=size, **network)
    return Harmonizer(weights=path, num_threads=1)


@pytest.fixture
def relight(tmp_path: Path) -> Harmonizer:
    """A network that puts the foreground in the gradient of light."""
    return load(tmp_path, gain=as_input(gradient(SMALL)))


def steps(image: Pixels, expected: Pixels, where: Pixels) -> Pixels:
    """Differences in 8-bit steps, of floats in [0, 1]."""
    off: Pixels = 255 * np.abs(image - expected)[where]
    return off


# How near it comes to the same change made at full size


@pytest.mark.parametrize("make_gain", [gradient, two_lights])
def test_light_that_varies_by_place_is_within_two_steps(
    make_gain: Any, tmp_path: Path
) -> None:
    harmonizer = load(tmp_path, gain=as_input(make_gain(SMALL)))
    composite, mask = scene("float32"), disc()
    result = harmonizer(composite, mask)
    off = steps(result.image, composite * make_gain(W), mask == 255)
    assert off.max() < 2
    assert np.sqrt((off**2).mean()) < 0.25


def test_a_curve_for_all_of_the_foreground_is_within_five_steps(tmp_path: Path) -> None:
    exponent = np.array([0.7, 1.0, 1.4])
    harmonizer = load(tmp_path, exponent=exponent.reshape(1, 3, 1, 1))
    composite, mask = scene("float32"), disc()
    off = steps(harmonizer(composite, mask).image, composite**exponent, mask == 255)
    # Most where stripes vanish in the thumbnail: the mean of a curve is not its curve.
    assert off.max() < 5
    assert np.sqrt((off**2).mean()) < 1


@pytest.mark.parametrize("size", [(SMALL, SMALL), (48, 128)])
def test_thumbnails_of_any_shape_will_do(size: tuple[int, int], tmp_path: Path) -> None:
    harmonizer = load(tmp_path, size=size, gain=as_input(gradient(size[1])))
    composite, mask = scene("float32"), disc()
    off = steps(harmonizer(composite, mask).image, composite * gradient(W), mask == 255)
    assert off.max() < 2


@pytest.mark.parametrize("background", [(1.0, 1.0, 0.0), (0.0, 0.0, 0.0)])
def test_there_is_no_halo_at_a_hard_edge_before_another_color(
    background: tuple[float, ...], relight: Harmonizer
) -> None:
    composite, mask = scene("float32"), disc(softness=1e-6)
    composite[mask == 0] = background
    y, x = np.mgrid[:H, :W]
    is_rim = (mask == 255) & (np.hypot(y - 125, x - 150) > 76)
    off = steps(relight(composite, mask).image, composite * gradient(W), is_rim)
    assert off.max() < 3.5
    assert off.mean() < 0.5


def test_soft_edges_blend_the_changed_and_the_old_color(relight: Harmonizer) -> None:
    composite, mask = scene("float32"), disc(softness=20)
    share = mask[..., None] / 255
    expected = share * composite * gradient(W) + (1 - share) * composite
    assert steps(relight(composite, mask).image, expected, mask > 0).max() < 2


# What must stay


@pytest.mark.parametrize("num_channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_background_and_alpha_come_back_bit_for_bit(
    dtype: str, num_channels: int, relight: Harmonizer
) -> None:
    composite, mask = scene(dtype, num_channels), disc(softness=20)
    image = relight(composite, mask).image
    assert image[mask == 0].tobytes() == composite[mask == 0].tobytes()
    assert (image[..., 0] != composite[..., 0])[mask == 255].mean() > 0.9
    if num_channels in (2, 4):
        assert image[..., -1].tobytes() == composite[..., -1].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_depths_agree(dtype: str, relight: Harmonizer) -> None:
    mask = disc(softness=20)
    image = relight(scene(dtype), mask).image / FULL[dtype]
    expected = relight(scene("float32"), mask).image
    assert np.abs(image - expected).max() < 2.5 / 255


def test_gray_gets_the_luminance_of_the_change(tmp_path: Path) -> None:
    harmonizer = load(tmp_path, gain=as_input(two_lights(SMALL)))
    composite, mask = scene("float32", 1), disc()
    expected = composite * (two_lights(W) @ np.array(BT709_LUMA))[:, None]
    off = steps(harmonizer(composite, mask).image, expected, mask == 255)
    assert off.max() < 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_strength_0_gives_the_composite(dtype: str, relight: Harmonizer) -> None:
    composite = scene(dtype)
    result = relight(composite, disc(), strength=0)
    assert result.image.tobytes() == composite.tobytes()
    assert result.transform.is_identity


def test_strength_blends(relight: Harmonizer) -> None:
    composite, mask = scene("float32"), disc()
    half, whole = (relight(composite, mask, strength=s).image for s in (0.5, 1))
    np.testing.assert_allclose(half, (composite + whole) / 2, rtol=0, atol=1e-5)


def test_values_stay_within_the_range_at_any_strength(relight: Harmonizer) -> None:
    image = relight(scene("float32"), disc(), strength=9).image
    assert 0 <= image.min() <= image.max() <= 1


def test_floats_beyond_white_keep_their_distance(relight: Harmonizer) -> None:
    composite, mask = scene("float32"), disc()
    white = composite.copy()
    white[120, 100] = 1
    beyond = white.copy()
    beyond[120, 100] = 3
    one, other = (relight(x, mask).image for x in (white, beyond))
    np.testing.assert_allclose(other[120, 100], one[120, 100] + 2, atol=1e-5)


def test_premultiplied_colors_get_the_look_of_straight_ones(
    relight: Harmonizer,
) -> None:
    straight = scene("float32", 4)
    composite = straight.copy()
    composite[..., :3] *= straight[..., 3:]
    image = relight(composite, disc(), premultiplied=True).image
    expected = relight(straight, disc()).image
    expected[..., :3] *= straight[..., 3:]
    np.testing.assert_allclose(image, expected, rtol=0, atol=1e-5)


def test_out_takes_the_result_also_in_the_composite_itself(relight: Harmonizer) -> None:
    composite = scene()
    expected = relight(composite, disc()).image
    out = np.empty_like(composite)
    assert relight(composite, disc(), out=out).image is out
    relight(composite, disc(), out=composite)
    assert out.tobytes() == composite.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_colors_of_another_profile_are_changed_as_srgb(
    dtype: str, relight: Harmonizer
) -> None:
    mask = mask_from_array(disc(), size=(H, W))
    plain = photo.from_array(scene("uint16"))
    depth = 8 if dtype == "uint8" else 16
    # By way of XYZ, since LittleCMS's short way is coarse.
    wide = plain.icc_import(input_profile="srgb", pcs="xyz").icc_export(
        output_profile="p3", pcs="xyz", depth=depth
    )
    predicted = relight.predict(wide, mask)
    rendered = render(wide, mask, predicted.transform)
    assert (rendered.format, rendered.bands) == (wide.format, 3)
    found = photo.to_array(profiles.to_srgb(rendered)) / 65535
    expected = scene("float32") * gradient(W)
    tolerance = {"uint8": 3, "uint16": 2}
    assert steps(found, expected, disc() == 255).max() < tolerance[dtype]


def test_gray_with_a_profile_gets_the_luminance_of_the_change_in_srgb(
    relight: Harmonizer,
) -> None:
    gray = scene("float32", 1)
    stored = decode(gray) ** (1 / SPACES["prophoto"].gamma)
    image = photo.from_array((stored * 65535).astype(np.uint16))
    image = with_profile(image, icc_profile(SPACES["prophoto"], gray=True))
    mask = mask_from_array(disc(), size=(H, W))
    rendered = render(image, mask, relight.predict(image, mask).transform)
    assert rendered.bands == 1
    found = encode((photo.to_array(rendered) / 65535) ** SPACES["prophoto"].gamma)
    assert steps(found, gray * gradient(W)[:, :1], disc() == 255).max() < 2


def test_same_inputs_give_the_same_bytes(relight: Harmonizer) -> None:
    images = {relight(scene(), disc()).image.tobytes() for _ in range(3)}
    assert len(images) == 1


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_files_get_the_bytes_of_arrays(
    dtype: str, relight: Harmonizer, tmp_path: Path
) -> None:
    composite, mask = scene(dtype), disc(softness=20)
    write_photo(photo.from_array(composite), tmp_path / "composite.tif")
    write_photo(photo.from_array(mask), tmp_path / "mask.png")
    image = read_photo(tmp_path / "composite.tif")
    opened = read_mask(tmp_path / "mask.png", size=(H, W))
    predicted = relight.predict(image, opened)
    rendered = render(image, opened, predicted.transform, box=predicted.box)
    write_photo(rendered, tmp_path / "out.tif")
    found = photo.to_array(read_photo(tmp_path / "out.tif"))
    assert found.tobytes() == relight(composite, mask).image.tobytes()


def test_parts_of_a_large_photo_meet_without_a_seam(
    relight: Harmonizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = relight(scene(), disc()).image
    monkeypatch.setattr(render_module, "STRIP_BYTES", 160 * 3 * 7)
    assert relight(scene(), disc()).image.tobytes() == expected.tobytes()


# What is predicted, and what cannot be


def test_the_change_is_a_grid_and_no_curves(relight: Harmonizer) -> None:
    result = relight(scene(), disc())
    assert isinstance(result.transform, BilateralGrid)
    assert (result.stages, result.label, result.warnings) == ((), None, ())
    with pytest.raises(UsageError, match=r"^this network predicts no curves, but a "):
        _ = result.curves


@pytest.mark.parametrize("call", ["predict", "fit_curves"])
def test_reference_is_refused(call: str, relight: Harmonizer) -> None:
    opened = photo.from_array(scene()), mask_from_array(disc(), size=(H, W))
    message = r"^reference: these weights see the composite alone; expected none"
    with pytest.raises(UsageError, match=message):
        getattr(relight, call)(*opened, reference=opened[0])
    with pytest.raises(UsageError, match=message):
        relight(scene(), disc(), reference=scene())


def test_label_is_announced_as_ignored(relight: Harmonizer) -> None:
    with pytest.warns(HarmonizeWarning, match="these weights know no labels"):
        relight(scene(), disc(), label="food")


def test_unknown_label_is_refused(relight: Harmonizer) -> None:
    with pytest.raises(UsageError, match="label is one of"):
        relight(scene(), disc(), label="dog")


@pytest.mark.parametrize("strength", [-1.0, float("nan")])
@pytest.mark.parametrize("mask", [disc(), np.zeros((H, W), np.uint8)])
def test_impossible_strength(
    strength: float, mask: Pixels, relight: Harmonizer
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HarmonizeWarning)
        with pytest.raises(UsageError, match="expected a finite strength"):
            relight(scene(), mask, strength=strength)


@pytest.mark.parametrize(
    ("level", "message"), [(0, "the mask is empty"), (255, "covers everything")]
)
def test_mask_without_two_regions_gives_the_composite(
    level: int, message: str, relight: Harmonizer
) -> None:
    with pytest.warns(HarmonizeWarning, match=message):
        result = relight(scene(), np.full((H, W), level, np.uint8))
    assert result.image.tobytes() == scene().tobytes()
    assert result.transform.is_identity


def test_inverted_mask_is_announced(relight: Harmonizer) -> None:
    with pytest.warns(HarmonizeWarning, match="looks inverted"):
        relight(scene(), 255 - disc())


def test_foreground_too_thin_for_the_thumbnail_stays_and_is_announced(
    relight: Harmonizer,
) -> None:
    mask = np.zeros((H, W), np.uint8)
    mask[:, 100] = 255  # a fifth of a thumbnail's column
    with pytest.warns(HarmonizeWarning, match="too small or too thin to be seen"):
        result = relight(scene(), mask)
    assert result.image.tobytes() == scene().tobytes()


def test_picture_that_is_not_finite_changes_nothing_and_is_announced(
    relight: Harmonizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = np.full((3, SMALL, SMALL), np.nan, np.float32)
    monkeypatch.setattr(PictureNetwork, "run", lambda *_: broken)
    with pytest.warns(HarmonizeWarning, match="the network's picture is not finite"):
        result = relight(scene(), disc())
    assert result.image.tobytes() == scene().tobytes()


@pytest.mark.parametrize("size", [(1, 2), (2, 1), (3, 2000), (2000, 3)])
def test_tiny_and_thin_photos_keep_their_background(
    size: tuple[int, int], relight: Harmonizer
) -> None:
    composite = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    mask = np.zeros(size, bool)
    mask[: (size[0] + 1) // 2, : (size[1] + 1) // 2] = True
    image = relight(composite, mask).image
    np.testing.assert_array_equal(image[~mask], composite[~mask])


# The nearest curves


def test_nearest_curves_of_a_network_that_draws_curves_are_those(
    tmp_path: Path,
) -> None:
    harmonizer = load(tmp_path, exponent=0.7)
    opened = photo.from_array(scene()), mask_from_array(disc(), size=(H, W))
    fitted = harmonizer.fit_curves(*opened)
    levels = np.repeat(np.linspace(0.2, 0.6, 20)[:, None], 3, axis=1)
    np.testing.assert_allclose(fitted.curves(levels), levels**0.7, atol=2e-3)
    assert fitted.rms < 0.2
    assert fitted.largest < 2


def test_nearest_curves_of_a_gradient_of_light_are_far_off(relight: Harmonizer) -> None:
    opened = photo.from_array(scene()), mask_from_array(disc(), size=(H, W))
    fitted = relight.fit_curves(*opened)
    assert fitted.curves.is_monotone
    assert 5 < fitted.rms < fitted.largest


def test_nearest_curves_take_the_strength(relight: Harmonizer) -> None:
    opened = photo.from_array(scene()), mask_from_array(disc(), size=(H, W))
    one, half = (relight.fit_curves(*opened, strength=s) for s in (1, 0.5))
    assert half.curves == one.curves.blend(0.5)
    assert half.rms == one.rms


def test_nothing_is_fitted_where_curves_are_predicted() -> None:
    opened = photo.from_array(scene()), mask_from_array(disc(), size=(H, W))
    message = r"^these weights predict curves; there are none to fit$"
    with pytest.raises(UsageError, match=message):
        Harmonizer().fit_curves(*opened)
