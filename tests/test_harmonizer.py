"""Harmonizing arrays, with the bundled weights; no test knows their colors."""

import functools
import shutil
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from imharmony.curves import Curves
from imharmony.errors import (
    HarmonizeWarning,
    ImageError,
    ShapeError,
    UsageError,
    WeightsError,
)
from imharmony.harmonizer import Harmonizer
from imharmony.images.masks import mask_from_array
from imharmony.images.photo import from_array, to_array
from imharmony.inference.curve_network import CurveNetwork, Slopes
from imharmony.inference.models import MODELS
from imharmony.inference.thumbnails import Thumbnails
from imharmony.labels import LABELS
from imharmony.rendering.render import render

Pixels = npt.NDArray[Any]

H, W = 48, 64
DTYPES = ("uint8", "uint16", "float32")
SHAPES = ((H, W, 3), (H, W, 4), (H, W), (H, W, 1), (H, W, 2))

# One step of an 8-bit photo, 1 / 255 = 3.9e-3. Thumbnails are made at the photo's own
# depth, so that of an 8-bit photo is off by up to half a step, and a network may
# answer with more than it was given. Seen: 2.2e-3.
SAME_CURVES = 1 / 255

EMPTY = "the mask is empty: nothing to harmonize"
FULL = "the mask covers everything: there is no background to fit to"
INVERTED = (
    "the mask looks inverted (it covers most of the photo and its whole rim); white "
    "is the foreground"
)


def picture(
    dtype: str = "uint8", shape: tuple[int, ...] = (H, W, 3), seed: int = 0
) -> Pixels:
    """A smooth scene with some noise; the foreground is darker and warmer."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    num_channels = shape[2] if len(shape) == 3 else 1
    waves = [
        0.5 + 0.35 * np.sin(rng.uniform(2, 9) * x / W + rng.uniform(2, 9) * y / H + i)
        for i in range(num_channels)
    ]
    scene = np.stack(waves, axis=-1) + rng.normal(0, 0.03, (*y.shape, num_channels))
    is_foreground = foreground(shape[0], shape[1])[..., None] > 0
    tint = np.linspace(0.7, 0.4, num_channels)
    values = np.where(is_foreground, scene * tint, scene).clip(0, 1).reshape(shape)
    full = 1 if dtype == "float32" else np.iinfo(dtype).max
    pixels: Pixels = (values * full).astype(dtype)
    return pixels


def foreground(height: int = H, width: int = W) -> Pixels:
    """A disc with a soft edge."""
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - 0.55 * height, x - 0.4 * width)
    soft = (0.25 * min(height, width) + 2 - distance) / 4
    mask: Pixels = (255 * soft.clip(0, 1)).astype(np.uint8)
    return mask


def heights(curves: Curves) -> Pixels:
    gray = np.linspace(0, 1, 256)[:, None] * np.ones(3)
    return curves(gray)


@pytest.fixture(scope="session")
def harmonizer() -> Harmonizer:
    return Harmonizer(num_threads=1)


# Shapes, depths, and what must stay


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_shape_and_dtype_come_back(
    dtype: str, shape: tuple[int, ...], harmonizer: Harmonizer
) -> None:
    result = harmonizer(picture(dtype, shape), foreground())
    assert (result.image.shape, result.image.dtype) == (shape, np.dtype(dtype))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_background_comes_back_bit_for_bit(
    dtype: str, shape: tuple[int, ...], harmonizer: Harmonizer
) -> None:
    composite, is_background = picture(dtype, shape), foreground() == 0
    result = harmonizer(composite, foreground())
    expected = composite[is_background].tobytes()
    assert result.image[is_background].tobytes() == expected


@pytest.mark.parametrize("dtype", DTYPES)
def test_foreground_is_recolored(dtype: str, harmonizer: Harmonizer) -> None:
    composite, inside = picture(dtype), foreground() == 255
    result = harmonizer(composite, foreground())
    assert (result.image != composite)[inside].any()


@pytest.mark.parametrize("num_channels", [2, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_alpha_comes_back_bit_for_bit(
    dtype: str, num_channels: int, harmonizer: Harmonizer
) -> None:
    composite = picture(dtype, (H, W, num_channels))
    result = harmonizer(composite, foreground())
    np.testing.assert_array_equal(result.image[..., -1], composite[..., -1])


def test_alpha_does_not_change_the_curves(harmonizer: Harmonizer) -> None:
    composite = picture(shape=(H, W, 4))
    opaque = harmonizer(np.ascontiguousarray(composite[..., :3]), foreground())
    assert harmonizer(composite, foreground()).curves == opaque.curves


def test_premultiplied_array_gets_the_look_of_a_straight_one(
    harmonizer: Harmonizer,
) -> None:
    straight = (picture("float32", (H, W, 4)) / 2 + 0.4).astype(np.float32)
    premultiplied = straight.copy()
    premultiplied[..., :3] *= straight[..., 3:]
    expected = harmonizer(straight, foreground()).image
    result = harmonizer(premultiplied, foreground(), premultiplied=True).image
    shown = result[..., :3] / result[..., 3:]
    # The network sees means that are weighted by alpha.
    np.testing.assert_allclose(shown, expected[..., :3], rtol=0, atol=0.02)
    outside = foreground() == 0
    assert result[outside].tobytes() == premultiplied[outside].tobytes()


def test_inputs_are_only_read(harmonizer: Harmonizer) -> None:
    composite, mask = picture(), foreground()
    composite.setflags(write=False)
    mask.setflags(write=False)
    result = harmonizer(composite, mask)
    np.testing.assert_array_equal(composite, picture())
    assert result.image.flags.writeable
    assert not np.shares_memory(result.image, composite)


def test_views_of_larger_arrays_are_taken_as_they_look(harmonizer: Harmonizer) -> None:
    composite, mask = picture()[:, ::-1], foreground()[:, ::-1]
    expected = harmonizer(composite.copy(), mask.copy())
    np.testing.assert_array_equal(harmonizer(composite, mask).image, expected.image)


@pytest.mark.parametrize("kind", ["bool", "uint16", "float32", "float64", "(H, W, 1)"])
def test_every_kind_of_mask_means_the_same(kind: str, harmonizer: Harmonizer) -> None:
    hard = foreground() > 127
    masks: dict[str, Pixels] = {
        "bool": hard,
        "uint16": hard.astype(np.uint16) * 65535,
        "(H, W, 1)": hard[..., None].astype(np.uint8) * 255,
    }
    mask = masks.get(kind, hard.astype(kind if "float" in kind else "uint8"))
    expected = harmonizer(picture(), hard.astype(np.uint8) * 255)
    np.testing.assert_array_equal(harmonizer(picture(), mask).image, expected.image)


# The curves are the result


def test_curves_are_the_stages_in_a_row(harmonizer: Harmonizer) -> None:
    result = harmonizer(picture(), foreground())
    assert len(result.stages) == harmonizer.contract.num_stages
    assert result.curves == functools.reduce(Curves.then, result.stages)


def test_curves_hold_the_strength_and_stages_do_not(harmonizer: Harmonizer) -> None:
    full, half = (harmonizer(picture(), foreground(), strength=s) for s in (1, 0.5))
    assert half.stages == full.stages
    assert half.curves == full.curves.blend(0.5)


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rendering_by_the_curves_gives_the_image(
    dtype: str, shape: tuple[int, ...], strength: float, harmonizer: Harmonizer
) -> None:
    composite, mask = picture(dtype, shape), foreground()
    result = harmonizer(composite, mask, strength=strength)
    photo = from_array(composite), mask_from_array(mask, size=(H, W))
    again = to_array(render(*photo, result.curves)).reshape(shape)
    np.testing.assert_array_equal(again, result.image)


def test_predicting_gives_what_calling_gives(harmonizer: Harmonizer) -> None:
    photo = from_array(picture()), mask_from_array(foreground(), size=(H, W))
    predicted = harmonizer.predict(*photo, strength=0.5)
    result = harmonizer(picture(), foreground(), strength=0.5)
    assert result.predicted == predicted


@pytest.mark.parametrize("shape", SHAPES)
def test_depth_does_not_change_the_curves(
    shape: tuple[int, ...], harmonizer: Harmonizer
) -> None:
    composite, mask = picture(shape=shape), foreground()
    found = heights(harmonizer(composite, mask).curves)
    deeper: Pixels = composite.astype(np.uint16) * 257
    floats: Pixels = composite.astype(np.float32) / 255
    for other in (deeper, floats):
        curves = harmonizer(other, mask).curves
        np.testing.assert_allclose(heights(curves), found, rtol=0, atol=SAME_CURVES)


# Strength


@pytest.mark.parametrize("dtype", DTYPES)
def test_strength_0_gives_the_composite(dtype: str, harmonizer: Harmonizer) -> None:
    composite = picture(dtype)
    result = harmonizer(composite, foreground(), strength=0)
    assert result.image.tobytes() == composite.tobytes()
    assert result.curves.is_identity


def test_strength_is_1_by_default(harmonizer: Harmonizer) -> None:
    result = harmonizer(picture(), foreground())
    expected = harmonizer(picture(), foreground(), strength=1)
    np.testing.assert_array_equal(result.image, expected.image)


def test_strength_2_goes_further_within_the_range(harmonizer: Harmonizer) -> None:
    composite, mask = picture("float32"), foreground()
    once, twice = (harmonizer(composite, mask, strength=s) for s in (1, 2))
    assert np.abs(twice.image - composite).sum() > np.abs(once.image - composite).sum()
    assert 0 <= twice.image.min() <= twice.image.max() <= 1
    assert 0 <= heights(twice.curves).min() <= heights(twice.curves).max() <= 1


@pytest.mark.parametrize("strength", [-0.5, float("nan"), float("inf")])
@pytest.mark.parametrize("mask", [foreground(), np.zeros((H, W), np.uint8)])
def test_impossible_strength(
    strength: float, mask: Pixels, harmonizer: Harmonizer
) -> None:
    message = rf"^expected a finite strength of 0 or more, got {strength}$"
    with pytest.raises(UsageError, match=message):
        harmonizer(picture(), mask, strength=strength)


# Labels


@pytest.mark.parametrize("label", LABELS)
def test_label_given_is_the_label_used(label: str, harmonizer: Harmonizer) -> None:
    assert harmonizer(picture(), foreground(), label=label).label == label


def test_label_changes_the_curves(harmonizer: Harmonizer) -> None:
    results = [harmonizer(picture(), foreground(), label=label) for label in LABELS]
    assert len({result.curves for result in results}) > 1


def test_label_for_weights_without_labels_is_announced(
    harmonizer: Harmonizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = replace(harmonizer.contract, has_semantic_label=False)
    monkeypatch.setattr(harmonizer._network, "contract", plain)
    with pytest.warns(HarmonizeWarning, match="the given one is ignored"):
        result = harmonizer(picture(), foreground(), label="food")
    assert result.label is None


def test_a_foreground_that_already_fits_stays_without_a_warning(
    harmonizer: Harmonizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat = Slopes(np.tile(np.arange(65, dtype=np.float32) / 64, (1, 3, 1)), "person")
    monkeypatch.setattr(CurveNetwork, "run", lambda *_, **__: flat)
    result = harmonizer(picture(), foreground())
    assert result.curves.is_identity
    np.testing.assert_array_equal(result.image, picture())


def test_full_mask_returns_the_composite(harmonizer: Harmonizer) -> None:
    with pytest.warns(HarmonizeWarning, match="covers everything"):
        result = harmonizer(picture(), np.full((H, W), 255, np.uint8))
    np.testing.assert_array_equal(result.image, picture())


def test_reference_of_any_size_gives_other_curves(
    harmonizer: Harmonizer,
) -> None:
    composite, mask = picture("uint8"), foreground()
    dusk = np.full((90, 20, 3), [30, 20, 60], np.uint8)
    result = harmonizer(composite, mask, reference=dusk)
    assert result.curves != harmonizer(composite, mask).curves
    assert (result.image[~mask.astype(bool)] == composite[~mask.astype(bool)]).all()


def test_full_mask_fits_to_a_reference(harmonizer: Harmonizer) -> None:
    composite, dusk = picture("uint8"), np.full((9, 9, 3), [30, 20, 60], np.uint8)
    everything = np.ones((H, W), bool)
    result = harmonizer(composite, everything, reference=dusk)
    assert result.warnings == ()
    assert (result.image != composite).any()


def test_guessed_label_is_reported(harmonizer: Harmonizer) -> None:
    assert harmonizer(picture(), foreground()).label in LABELS


@pytest.mark.parametrize("mask", [foreground(), np.zeros((H, W), np.uint8)])
def test_unknown_label_lists_the_known(mask: Pixels, harmonizer: Harmonizer) -> None:
    message = r"^label is one of person, animal, food, vehicle, others, got 'dog'$"
    with pytest.raises(UsageError, match=message):
        harmonizer(picture(), mask, label="dog")


# Masks that look wrong, and what else is announced


def mask_of_kind(message: str) -> Pixels:
    masks = {EMPTY: np.zeros((H, W)), FULL: np.ones((H, W))}
    return masks.get(message, 1 - (foreground() / np.float32(255)))


@pytest.mark.parametrize("message", [EMPTY, FULL, INVERTED])
def test_mask_that_looks_wrong_is_announced_once(
    message: str, harmonizer: Harmonizer
) -> None:
    with pytest.warns(HarmonizeWarning) as caught:
        result = harmonizer(picture(), mask_of_kind(message))
    assert result.warnings == (message,)
    assert [str(warning.message) for warning in caught] == [message]


def test_mask_that_looks_right_is_not_announced(harmonizer: Harmonizer) -> None:
    assert harmonizer(picture(), foreground()).warnings == ()


def test_large_foreground_that_leaves_some_rim_is_not_announced(
    harmonizer: Harmonizer,
) -> None:
    mask = np.full((H, W), 255, np.uint8)
    mask[:8] = 0
    assert harmonizer(picture(), mask).warnings == ()


def test_frame_around_the_photo_is_not_announced(harmonizer: Harmonizer) -> None:
    mask = np.zeros((H - 8, W - 8), np.uint8)
    frame = np.pad(mask, 4, constant_values=255)
    assert harmonizer(picture(), frame).warnings == ()


@pytest.mark.parametrize("dtype", DTYPES)
def test_empty_mask_gives_the_composite(dtype: str, harmonizer: Harmonizer) -> None:
    composite = picture(dtype)
    with pytest.warns(HarmonizeWarning, match="empty"):
        result = harmonizer(composite, np.zeros((H, W), bool))
    assert result.image.tobytes() == composite.tobytes()
    assert (result.curves.is_identity, result.stages, result.label) == (True, (), None)


def test_warnings_point_at_the_line_of_the_caller(harmonizer: Harmonizer) -> None:
    mask = np.zeros((H, W), bool)
    photo = from_array(picture()), mask_from_array(mask, size=(H, W))
    with pytest.warns(HarmonizeWarning) as calling:
        harmonizer(picture(), mask)
    with pytest.warns(HarmonizeWarning) as predicting:
        harmonizer.predict(*photo)
    announced = [*calling, *predicting]
    assert [warning.filename for warning in announced] == [__file__] * 2


@pytest.mark.parametrize("heights", [np.inf, np.nan])
def test_heights_that_define_no_curve_change_nothing_and_are_announced(
    heights: float, harmonizer: Harmonizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*_: object, label: str | None, **__: object) -> Slopes:
        return Slopes(np.full((1, 3, 65), heights, np.float32), label)

    monkeypatch.setattr(CurveNetwork, "run", answer)
    message = r"^the network's answer defines no curve \(red channel: .*\); unchanged$"
    with pytest.warns(HarmonizeWarning, match=message):
        result = harmonizer(picture(), foreground(), label="food")
    np.testing.assert_array_equal(result.image, picture())
    assert (result.curves.is_identity, result.stages) == (True, ())
    assert (result.label, len(result.warnings)) == ("food", 1)


# Determinism and threads


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_inputs_give_the_same_bytes(dtype: str, harmonizer: Harmonizer) -> None:
    results = [harmonizer(picture(dtype), foreground()) for _ in range(3)]
    assert len({result.image.tobytes() for result in results}) == 1


def test_another_harmonizer_gives_the_same_bytes(harmonizer: Harmonizer) -> None:
    expected = harmonizer(picture(), foreground()).image.tobytes()
    again = Harmonizer(num_threads=1)(picture(), foreground())
    assert again.image.tobytes() == expected


def test_eight_threads_give_what_one_gives() -> None:
    shared = Harmonizer()
    jobs = [(picture(DTYPES[seed % 3], seed=seed), foreground()) for seed in range(8)]
    serial = [shared(*job).image.tobytes() for job in jobs]
    start = threading.Barrier(len(jobs))

    def work(job: tuple[Pixels, Pixels]) -> list[bytes]:
        start.wait()
        return [shared(*job).image.tobytes() for _ in range(5)]

    with ThreadPoolExecutor(len(jobs)) as pool:
        parallel = list(pool.map(work, jobs))
    assert parallel == [[expected] * 5 for expected in serial]


# Small and thin photos


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 3)])
def test_single_pixel_of_foreground_is_all_that_changes(
    size: tuple[int, int], harmonizer: Harmonizer
) -> None:
    composite = picture(shape=(*size, 3))
    mask = np.zeros(size, bool)
    mask[-1, -1] = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 1x1: the mask covers everything
        result = harmonizer(composite, mask)
    np.testing.assert_array_equal(result.image[~mask], composite[~mask])


# Arrays that cannot be used


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_composite_that_is_not_finite(bad: float, harmonizer: Harmonizer) -> None:
    composite = picture("float32")
    composite[0, 0, 0] = bad
    message = r"^composite: expected finite numbers, got NaN or infinity$"
    with pytest.raises(ImageError, match=message):
        harmonizer(composite, foreground())


def test_mask_with_nan(harmonizer: Harmonizer) -> None:
    mask = np.full((H, W), np.nan)
    with pytest.raises(ImageError, match=r"^mask: expected finite numbers, got NaN"):
        harmonizer(picture(), mask)


def test_mask_of_another_size_names_both_sizes(harmonizer: Harmonizer) -> None:
    message = r"^mask: expected shape \(48, 64\), .*, got \(64, 48\)$"
    with pytest.raises(ShapeError, match=message):
        harmonizer(picture(), foreground().T)


@pytest.mark.parametrize("shape", [(H, W, 5), (H,), (0, W, 3), (1, 1, H, W, 3)])
def test_composite_of_another_shape(
    shape: tuple[int, ...], harmonizer: Harmonizer
) -> None:
    with pytest.raises(ShapeError, match=r"^composite: expected shape \(H, W\) or "):
        harmonizer(np.zeros(shape, np.uint8), foreground())


# Which weights


def test_unknown_model_lists_the_known() -> None:
    message = r"^model is one of s2crnet-cs, hdnet-lite, got 'best'$"
    with pytest.raises(UsageError, match=message):
        Harmonizer("best")


@pytest.mark.parametrize("kind", [str, Path])
def test_weights_file_is_taken_by_path(
    kind: type, tmp_path: Path, harmonizer: Harmonizer
) -> None:
    path = kind(shutil.copy(MODELS["s2crnet-cs"], tmp_path / "copy.onnx"))
    copied = Harmonizer(weights=path, num_threads=1)
    assert copied.contract == harmonizer.contract
    expected = harmonizer(picture(), foreground())
    assert copied(picture(), foreground()).curves == expected.curves


def test_missing_weights_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.onnx: cannot read weights"):
        Harmonizer(weights=tmp_path / "none.onnx")


def test_thumbnails_have_the_size_and_views_of_the_contract(
    harmonizer: Harmonizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Thumbnails] = []
    run = CurveNetwork.run

    def look(self: CurveNetwork, thumbnails: Thumbnails, **options: Any) -> Slopes:
        seen.append(thumbnails)
        return run(self, thumbnails, **options)

    monkeypatch.setattr(CurveNetwork, "run", look)
    harmonizer(picture(), foreground())
    contract = harmonizer.contract
    num_views = len(contract.contexts)
    assert seen[0].composite.shape == (num_views, 3, *contract.thumbnail_size)
