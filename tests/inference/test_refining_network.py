"""The bundled network that refines curves: pictures, parts, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import pyvips

from imharmony import Harmonizer
from imharmony.errors import HarmonizeWarning, UsageError, WeightsError
from imharmony.images import files, mask_files
from imharmony.images.masks import mask_box, mask_from_array
from imharmony.images.photo import Box, from_array, to_array
from imharmony.images.pixels import PixelArray
from imharmony.inference.models import MODELS, load_network
from imharmony.rendering.bilateral_grid import BilateralGrid
from imharmony.rendering.render import render
from imharmony.rendering.transform import Chain
from tests.onnx_files import metadata, picture_contract

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def harmonizer() -> Harmonizer:
    return Harmonizer("hdnet-lite")


@pytest.fixture(scope="module")
def scene() -> tuple[PixelArray, PixelArray]:
    """A photograph whose object is lit from one side, and its mask."""
    composite = to_array(files.read_photo(EXAMPLES / "composite.png"))
    height, width = composite.shape[:2]
    mask = to_array(mask_files.read_mask(EXAMPLES / "mask.png", size=(height, width)))
    gain = np.linspace(0.6, 1.4, width)[None, :, None]
    lit = (composite * np.where(mask > 0, gain, 1)).clip(0, 255)
    return lit.astype(np.uint8), mask[..., 0]


def test_it_refines_the_curves_of_the_default_model(
    harmonizer: Harmonizer, scene: tuple[PixelArray, PixelArray]
) -> None:
    predicted, curves = harmonizer.predict(*scene), Harmonizer().predict(*scene)
    change = predicted.transform
    assert isinstance(change, Chain)
    assert change.first == curves.transform
    assert isinstance(change.then, BilateralGrid)
    for name in ("label", "same_scene", "seam_pairs", "box"):
        assert getattr(predicted, name) == getattr(curves, name)
    assert not harmonizer.has_curves


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_background_stays_bit_for_bit(
    dtype: str, harmonizer: Harmonizer, scene: tuple[PixelArray, PixelArray]
) -> None:
    pixels, mask = scene
    scale = {"uint8": 1, "uint16": 257, "float32": 1 / 255}[dtype]
    composite = (pixels.astype(float) * scale).astype(dtype)
    image = harmonizer(composite, mask).image
    assert image.dtype == composite.dtype
    np.testing.assert_array_equal(image[mask == 0], composite[mask == 0])
    assert (image[mask > 0] != composite[mask > 0]).any()


def test_the_depths_agree(
    harmonizer: Harmonizer, scene: tuple[PixelArray, PixelArray]
) -> None:
    """Within what the rounding of the thumbnail's input leaves."""
    pixels, mask = scene
    small = harmonizer(pixels, mask).image / 255
    deep = harmonizer(pixels.astype(np.uint16) * 257, mask).image / 65535
    assert np.abs(small - deep).max() < 3 / 255


def test_the_same_call_gives_the_same_bytes(
    harmonizer: Harmonizer, scene: tuple[PixelArray, PixelArray]
) -> None:
    first, second = (harmonizer(*scene).image for _ in range(2))
    np.testing.assert_array_equal(first, second)
    other = Harmonizer("hdnet-lite", num_threads=1)(*scene).image
    assert np.abs(other.astype(int) - first).max() <= 1


def test_parts_get_the_bytes_of_the_whole(
    harmonizer: Harmonizer, scene: tuple[PixelArray, PixelArray]
) -> None:
    predicted = harmonizer.predict(*scene)
    image = from_array(scene[0])
    mask = mask_from_array(scene[1], size=scene[1].shape)
    whole = to_array(render(image, mask, predicted.transform, box=predicted.box))
    box = predicted.box
    assert box is not None
    for part in (
        Box(box.top, box.left, 40, 40),
        Box(box.top + 31, box.left + 17, 64, box.width - 17),
    ):
        made = to_array(predicted.transform.map_box(part.crop(image), part))
        is_inside = part.view(scene[1]) == 255
        np.testing.assert_array_equal(made[is_inside], part.view(whole)[is_inside])


def test_a_photo_from_a_file_gets_the_same_as_an_array(
    harmonizer: Harmonizer, scene: tuple[PixelArray, PixelArray], tmp_path: Path
) -> None:
    files.write_photo(from_array(scene[0]), tmp_path / "a.png")
    image = pyvips.Image.new_from_file(str(tmp_path / "a.png"), access="random")
    mask = mask_from_array(scene[1], size=scene[1].shape)
    predicted = harmonizer.predict(image, mask)
    made = to_array(render(image, mask, predicted.transform, box=predicted.box))
    np.testing.assert_array_equal(made, harmonizer(*scene).image)


def test_strength_zero_is_the_composite_and_half_is_between(
    harmonizer: Harmonizer, scene: tuple[PixelArray, PixelArray]
) -> None:
    none, half, all_ = (
        harmonizer(*scene, strength=strength).image.astype(float)
        for strength in (0.0, 0.5, 1.0)
    )
    np.testing.assert_array_equal(none, scene[0])
    assert 0 < np.abs(half - none).mean() < np.abs(all_ - none).mean()


def test_the_seam_is_gone_by_or_not_as_asked(
    harmonizer: Harmonizer, scene: tuple[PixelArray, PixelArray]
) -> None:
    made = [harmonizer(*scene, seam=seam).image for seam in ("trust", "ignore")]
    assert (made[0] != made[1]).any()


def test_curves_are_refused_and_the_nearest_found(
    harmonizer: Harmonizer, scene: tuple[PixelArray, PixelArray]
) -> None:
    with pytest.raises(UsageError, match="predicts no curves, but a change"):
        _ = harmonizer(*scene).curves
    fitted = harmonizer.fit_curves(*scene)
    assert fitted.curves.is_monotone
    assert fitted.rms > 0.1


def test_another_photo_to_fit_to_is_refused(
    harmonizer: Harmonizer, scene: tuple[PixelArray, PixelArray]
) -> None:
    with pytest.raises(UsageError, match="these weights see the composite alone"):
        harmonizer(*scene, reference=scene[0])


def test_what_is_too_small_for_the_thumbnail_gets_the_curves(
    harmonizer: Harmonizer, scene: tuple[PixelArray, PixelArray]
) -> None:
    pixels, mask = scene
    thin = np.zeros_like(mask)
    thin[100:300, 200] = 255
    with pytest.warns(HarmonizeWarning, match="the curves alone are applied"):
        made = harmonizer(pixels, thin).image
    np.testing.assert_array_equal(made, Harmonizer()(pixels, thin).image)


@pytest.mark.parametrize("level", [0, 255])
def test_without_two_regions_nothing_is_changed(
    level: int, harmonizer: Harmonizer, scene: tuple[PixelArray, PixelArray]
) -> None:
    mask = np.full_like(scene[1], level)
    with pytest.warns(HarmonizeWarning):
        made = harmonizer(scene[0], mask).image
    np.testing.assert_array_equal(made, scene[0])
    with pytest.warns(HarmonizeWarning):
        fitted = harmonizer.fit_curves(scene[0], mask)
    assert fitted.curves.is_identity


def test_gray_photos_stay_gray(
    harmonizer: Harmonizer, scene: tuple[PixelArray, PixelArray]
) -> None:
    gray = scene[0][..., 1]
    made = harmonizer(gray, scene[1]).image
    assert made.shape == gray.shape
    assert (made != gray).any()


def test_objects_are_refined_each_in_its_own_way(
    harmonizer: Harmonizer, scene: tuple[PixelArray, PixelArray]
) -> None:
    pixels, mask = scene
    upper, lower = mask.copy(), mask.copy()
    middle = mask.shape[0] // 2
    upper[middle:], lower[:middle] = 0, 0
    result = harmonizer.harmonize_objects(pixels, [upper, lower])
    assert result.image.shape == pixels.shape
    np.testing.assert_array_equal(result.image[mask == 0], pixels[mask == 0])
    assert all(isinstance(one.transform, Chain) for one in result.objects)


def test_weights_that_refine_no_network_of_curves_are_refused(tmp_path: Path) -> None:
    bundled = MODELS["hdnet-lite"].read_bytes()
    changed = picture_contract(
        (128, 128), refines="hdnet-lite", seam={"pairs": 512, "gaps": 4}
    )
    path = tmp_path / "itself.onnx"
    path.write_bytes(bundled + metadata(changed))
    with pytest.raises(WeightsError, match="refines a network of curves"):
        load_network(path)


def test_weights_that_refine_an_unknown_model_are_refused(tmp_path: Path) -> None:
    bundled = MODELS["hdnet-lite"].read_bytes()
    changed = picture_contract((128, 128), refines="other", seam={"pairs": 8})
    path = tmp_path / "other.onnx"
    path.write_bytes(bundled + metadata(changed))
    with pytest.raises(UsageError, match="model is one of"):
        load_network(path)


def test_an_edge_of_a_photo_has_no_seam_and_works(harmonizer: Harmonizer) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(60, 200, (64, 96, 3), dtype=np.uint8)
    mask = np.zeros((64, 96), np.uint8)
    mask[:, :40] = 255
    result = harmonizer(pixels, mask)
    np.testing.assert_array_equal(result.image[mask == 0], pixels[mask == 0])
    assert mask_box(mask_from_array(mask, size=(64, 96))) == result.box
