"""What people have: arrays of any depth, lists, Pillow, torch, pyvips, files, batches.

The network is written by hand and halves the foreground, so what must come back is
known without our code.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
from PIL import Image, ImageCms

import imharmony
from imharmony.errors import (
    HarmonizeWarning,
    ImageError,
    ShapeError,
    UsageError,
    WarningCode,
)
from imharmony.harmonizer import Harmonizer
from tests.onnx_files import write_picture_weights

Pixels = npt.NDArray[Any]

H, W = 40, 60


@pytest.fixture(scope="module")
def halving(tmp_path_factory: pytest.TempPathFactory) -> Harmonizer:
    folder = tmp_path_factory.mktemp("weights")
    return Harmonizer(weights=write_picture_weights(folder, gain=0.5), num_threads=1)


def scene(seed: int = 0, num_channels: int = 3) -> Pixels:
    """float64, 0.1 to 0.9."""
    return np.random.default_rng(seed).uniform(0.1, 0.9, (H, W, num_channels))


def square() -> Pixels:
    mask = np.zeros((H, W), np.uint8)
    mask[10:30, 15:45] = 255
    return mask


def halved(composite: Pixels, mask: Pixels) -> Pixels:
    expected: Pixels = np.where(mask[..., None] > 0, composite / 2, composite)
    return expected


# Depths


def test_float64_comes_back_as_float64(halving: Harmonizer) -> None:
    composite, mask = scene(), square()
    image = halving(composite, mask).image
    assert image.dtype == np.float64
    np.testing.assert_allclose(image, halved(composite, mask), atol=1e-3)
    assert image[mask == 0].tobytes() == composite[mask == 0].tobytes()


def test_float64_takes_out_and_the_composite_itself(halving: Harmonizer) -> None:
    composite, mask = scene(), square()
    expected = halving(composite, mask).image
    out = np.empty_like(composite)
    assert halving(composite, mask, out=out).image is out
    halving(composite, mask, out=composite)
    assert out.tobytes() == composite.tobytes() == expected.tobytes()


def test_list_of_floats_is_an_array(halving: Harmonizer) -> None:
    composite, mask = scene(), square()
    image = halving(composite.tolist(), mask.tolist()).image
    np.testing.assert_array_equal(image, halving(composite, mask).image)


@pytest.mark.parametrize("dtype", ["int64", "int16", "uint32", "float16", "bool"])
def test_other_depths_say_what_is_expected(dtype: str, halving: Harmonizer) -> None:
    message = r"^composite: expected dtype uint8, uint16, float32 or float64, got "
    with pytest.raises(ImageError, match=message + dtype):
        halving(scene().astype(dtype), square())


def test_whole_numbers_name_the_way(halving: Harmonizer) -> None:
    with pytest.raises(ImageError, match=r"got int64; astype\(np\.uint8\) makes it"):
        halving((scene() * 255).astype(int).tolist(), square())


@pytest.mark.parametrize("path", ["photo.png", Path("photo.png"), b"\x89PNG"])
def test_path_names_the_function_for_files(path: Any, halving: Harmonizer) -> None:
    message = r"^composite: .* got a path or bytes; imharmony\.harmonize_file takes"
    with pytest.raises(ImageError, match=message):
        halving(path, square())


def test_what_is_no_picture_at_all_is_named(halving: Harmonizer) -> None:
    with pytest.raises(ImageError, match=r"^composite: expected an array, .* got int$"):
        halving(7, square())  # type: ignore[call-overload]


def test_ragged_list_is_refused(halving: Harmonizer) -> None:
    with pytest.raises(ImageError, match=r"^composite: no array can be made of it"):
        halving([[[0.5, 0.5, 0.5]], [[0.5]]], [[1]])


def test_channels_first_are_recognized(halving: Harmonizer) -> None:
    message = r"^composite: .* got \(3, 40, 60\), which looks like channels first;"
    with pytest.raises(ShapeError, match=message):
        halving(scene().transpose(2, 0, 1), square())


# Masks


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint64"])
@pytest.mark.parametrize("top", [1, 255])
def test_whole_numbers_of_any_type_are_masks(
    dtype: str, top: int, halving: Harmonizer
) -> None:
    if top > np.iinfo(dtype).max:
        top = 1
    mask = (square() > 0).astype(dtype) * np.array(top, dtype)
    expected = halving(scene(), square()).image
    np.testing.assert_array_equal(halving(scene(), mask).image, expected)


def test_soft_edges_of_whole_numbers_are_kept(halving: Harmonizer) -> None:
    soft = np.where(square() > 0, 128, 0).astype(np.int32)
    soft[20, 30] = 255
    expected = halving(scene(), soft.astype(np.uint8)).image
    np.testing.assert_array_equal(halving(scene(), soft).image, expected)


@pytest.mark.parametrize(("low", "high"), [(0, 256), (-1, 255), (0, 65535)])
def test_whole_numbers_beyond_8_bit_are_refused(
    low: int, high: int, halving: Harmonizer
) -> None:
    mask = np.full((H, W), low, np.int32)
    mask[0, 0] = high
    message = (
        rf"^mask: expected whole numbers 0 and 1, or 0 to 255, got {low} to {high}"
    )
    with pytest.raises(ImageError, match=message):
        halving(scene(), mask)


def test_three_equal_channels_are_one(halving: Harmonizer) -> None:
    mask = np.repeat(square()[..., None], 3, axis=2)
    expected = halving(scene(), square()).image
    np.testing.assert_array_equal(halving(scene(), mask).image, expected)


def test_three_channels_that_differ_are_refused(halving: Harmonizer) -> None:
    mask = np.repeat(square()[..., None], 3, axis=2)
    mask[0, 0, 2] = 9
    with pytest.raises(ImageError, match=r"^mask: expected one channel or three equal"):
        halving(scene(), mask)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_alpha_is_the_mask_where_none_is_given(dtype: str, halving: Harmonizer) -> None:
    full = np.iinfo(dtype).max if "uint" in dtype else 1
    composite = (scene(num_channels=4) * full).astype(dtype)
    composite[..., 3] = np.where(square() > 0, full, 0)
    image = halving(composite).image
    expected = halving(composite, square()).image
    assert image.tobytes() == expected.tobytes()
    assert image.shape == (H, W, 4)


def test_neither_mask_nor_alpha(halving: Harmonizer) -> None:
    with pytest.raises(ImageError, match=r"^composite: no mask given and no alpha"):
        halving(scene())


@pytest.mark.parametrize("kind", ["array", "pyvips"])
def test_opaque_alpha_is_no_mask(kind: str, halving: Harmonizer) -> None:
    composite = np.full((H, W, 4), 255, np.uint8)
    given: Any = composite
    if kind == "pyvips":
        given = pyvips.Image.new_from_array(composite).copy(interpretation="srgb")
    with pytest.raises(ImageError, match=r"^composite: no mask .* opaque everywhere"):
        halving(given)


# Pillow


def test_pillow_in_pillow_out(halving: Harmonizer) -> None:
    pixels = (scene() * 255).astype(np.uint8)
    composite = Image.fromarray(pixels)
    composite.info["dpi"] = (300, 300)
    result = halving(composite, Image.fromarray(square()))
    assert isinstance(result.image, Image.Image)
    assert (result.image.mode, result.image.info["dpi"]) == ("RGB", (300, 300))
    expected = halving(pixels, square()).image
    np.testing.assert_array_equal(np.asarray(result.image), expected)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "1"])
def test_other_modes_of_pillow_come_back(mode: str, halving: Harmonizer) -> None:
    composite = Image.fromarray((scene() * 255).astype(np.uint8)).convert(mode)
    image = halving(composite, Image.fromarray(square())).image
    assert image.mode == ("L" if mode == "1" else mode)
    assert image.size == (W, H)


def test_palette_becomes_rgb(halving: Harmonizer) -> None:
    composite = Image.fromarray((scene() * 255).astype(np.uint8)).quantize(16)
    image = halving(composite, square()).image
    outside = square() == 0
    shown = np.asarray(composite.convert("RGB"))
    np.testing.assert_array_equal(np.asarray(image)[outside], shown[outside])


def test_cmyk_of_pillow_is_refused(halving: Harmonizer) -> None:
    composite = Image.new("CMYK", (W, H))
    with pytest.raises(ImageError, match=r"got CMYK; convert it first$"):
        halving(composite, square())


def test_profile_of_pillow_is_obeyed(halving: Harmonizer) -> None:
    # LAB's profile cannot describe RGB, so it is dropped aloud: it has been looked at.
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    composite = Image.fromarray((scene() * 255).astype(np.uint8))
    composite.info["icc_profile"] = lab
    with pytest.warns(HarmonizeWarning, match="profile cannot be used"):
        image = halving(composite, square()).image
    assert image.info["icc_profile"] == lab


# torch and others


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_torch_in_torch_out(dtype: str, halving: Harmonizer) -> None:
    torch = pytest.importorskip("torch")
    full = 255 if dtype == "uint8" else 1
    pixels = (scene() * full).astype(dtype)
    composite = torch.from_numpy(pixels)
    if dtype != "uint8":
        composite.requires_grad_()
    image = halving(composite, torch.from_numpy(square())).image
    assert isinstance(image, torch.Tensor)
    assert image.dtype == composite.dtype
    expected = halving(pixels, square()).image
    np.testing.assert_array_equal(image.numpy(), expected)


class Boxed:
    """Something else that can become an array."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels

    def __array__(self, dtype: Any = None, copy: Any = None) -> Pixels:
        return self.pixels if dtype is None else self.pixels.astype(dtype)


def test_anything_that_is_an_array_in_disguise(halving: Harmonizer) -> None:
    image = halving(Boxed(scene()), Boxed(square())).image
    np.testing.assert_array_equal(image, halving(scene(), square()).image)


# Batches


def test_batch_is_harmonized_picture_by_picture(halving: Harmonizer) -> None:
    batch = np.stack([scene(seed) for seed in range(3)]).astype(np.float32)
    masks = np.stack([np.roll(square(), 5 * i, axis=1) for i in range(3)])
    result = halving(batch, masks)
    assert (result.image.shape, len(result)) == (batch.shape, 3)
    for i, one in enumerate(result):  # type: ignore[var-annotated, arg-type]
        expected = halving(batch[i], masks[i])
        np.testing.assert_array_equal(result.image[i], expected.image)
        assert one == expected


def test_one_mask_serves_a_whole_batch(halving: Harmonizer) -> None:
    batch = np.stack([scene(seed) for seed in range(2)])
    masks = np.stack([square()] * 2)
    assert halving(batch, square()) == halving(batch, masks)


def test_batch_of_tensors_comes_back_as_one(halving: Harmonizer) -> None:
    torch = pytest.importorskip("torch")
    batch = torch.from_numpy(np.stack([scene(0), scene(1)]))
    image = halving(batch, square()).image
    assert isinstance(image, torch.Tensor)
    assert image.shape == batch.shape


def test_batch_has_no_single_change(halving: Harmonizer, tmp_path: Path) -> None:
    result = halving(np.stack([scene(0), scene(1)]), square())
    with pytest.raises(UsageError, match=r"^a batch of 2 pictures has as many changes"):
        _ = result.transform
    with pytest.raises(UsageError, match="expected one picture, got a batch of 2"):
        result.save(tmp_path / "out.tif")
    assert repr(result) == "Result(float64 (2, 40, 60, 3), 2 pictures)"


def test_masks_of_another_batch_are_refused(halving: Harmonizer) -> None:
    message = r"^mask: expected shape \(2, 40, 60\) or \(40, 60\), the batch's, got "
    with pytest.raises(ShapeError, match=message):
        halving(np.stack([scene(0), scene(1)]), np.stack([square()] * 3))


# Results


def test_results_are_compared_by_what_they_hold(halving: Harmonizer) -> None:
    one, same = halving(scene(), square()), halving(scene(), square())
    other = halving(scene(1), square())
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != "a result"


def test_repr_of_a_result_is_short(halving: Harmonizer) -> None:
    shown = repr(halving(scene(), square()))
    assert shown == "Result(float64 (40, 60, 3), label None, a change by place)"


def test_notices_keep_their_code_when_pickled(halving: Harmonizer) -> None:
    with pytest.warns(HarmonizeWarning) as caught:
        result = halving(scene(), np.zeros((H, W)))
    (notice,) = pickle.loads(pickle.dumps(result.warnings))
    assert (notice.code, notice) == (WarningCode.MASK_EMPTY, result.warnings[0])
    assert [warning.message.code for warning in caught] == [notice.code]  # type: ignore[union-attr]


def test_saved_result_reads_back(halving: Harmonizer, tmp_path: Path) -> None:
    pixels = (scene() * 255).astype(np.uint8)
    result = halving(pixels, square())
    result.save(tmp_path / "out.png")
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "out.png")), result.image
    )
    with pytest.raises(UsageError, match="exists already"):
        result.save(str(tmp_path / "out.png"))
    result.save(str(tmp_path / "out.png"), overwrite=True)


def test_another_strength_asks_no_network(
    halving: Harmonizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    composite, mask = scene(), square()
    predicted = halving.predict(composite, mask)
    monkeypatch.setattr(halving, "_network", None)
    image = halving.render(predicted.at_strength(0.5), composite, mask).image
    expected = np.where(mask[..., None] > 0, composite * 0.75, composite)
    np.testing.assert_allclose(image, expected, atol=1e-3)
    with pytest.raises(UsageError, match="expected a finite strength of 0 or more"):
        predicted.at_strength(-1)


# Files


def test_files_get_what_arrays_get(halving: Harmonizer, tmp_path: Path) -> None:
    pixels = (scene() * 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    Image.fromarray(square()).save(tmp_path / "mask.png")
    target = tmp_path / "out.png"
    arguments = (str(tmp_path / "photo.png"), tmp_path / "mask.png")
    predicted = imharmony.harmonize_file(*arguments, output=target, harmonizer=halving)
    assert predicted == halving(pixels, square()).predicted
    expected = halving(pixels, square()).image
    np.testing.assert_array_equal(np.asarray(Image.open(target)), expected)
    with pytest.raises(UsageError, match="exists already"):
        imharmony.harmonize_file(*arguments, output=target, harmonizer=halving)


def test_file_without_a_foreground_is_announced_at_the_caller(tmp_path: Path) -> None:
    Image.fromarray((scene() * 255).astype(np.uint8)).save(tmp_path / "photo.png")
    Image.new("L", (W, H)).save(tmp_path / "mask.png")
    with pytest.warns(HarmonizeWarning, match="empty") as caught:
        imharmony.harmonize_file(
            tmp_path / "photo.png", tmp_path / "mask.png", output=tmp_path / "out.png"
        )
    assert [warning.filename for warning in caught] == [__file__]


def test_opaque_file_writes_nothing(tmp_path: Path) -> None:
    Image.new("RGBA", (W, H), (9, 9, 9, 255)).save(tmp_path / "photo.png")
    with pytest.raises(ImageError, match="opaque everywhere"):
        imharmony.harmonize_file(tmp_path / "photo.png", output=tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()


def test_photos_that_are_read_are_harmonized_and_written(
    halving: Harmonizer, tmp_path: Path
) -> None:
    pixels = (scene() * 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png", dpi=(300, 300))
    image = halving(imharmony.read_photo(str(tmp_path / "photo.png")), square()).image
    imharmony.write_photo(image, tmp_path / "out.png")
    written = Image.open(tmp_path / "out.png")
    np.testing.assert_array_equal(np.asarray(written), halving(pixels, square()).image)
    assert round(written.info["dpi"][0]) == 300


def test_several_objects_of_an_image_of_pillow_give_one_back() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    one, other = np.zeros((2, 40, 60), np.uint8)
    one[10:30, 5:25], other[10:30, 30:55] = 255, 255
    harmonizer = Harmonizer()
    pictures = [Image.fromarray(mask) for mask in (one, other)]
    result = harmonizer.harmonize_objects(Image.fromarray(pixels), pictures)
    assert isinstance(result.image, Image.Image)
    expected = harmonizer.harmonize_objects(pixels, [one, other]).image
    np.testing.assert_array_equal(np.asarray(result.image), expected)
