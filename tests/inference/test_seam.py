"""The seam of photos of every kind: the same pixels, whatever holds them."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips

from imharmony.images import files, mask_files
from imharmony.images import pixels as pixels_module
from imharmony.images.masks import mask_box, mask_from_array
from imharmony.images.photo import PREMULTIPLIED, from_array
from imharmony.inference.crossings import GAPS, NUM_PAIRS, find_crossings
from imharmony.inference.seam import Seam, sample_seam

Pixels = npt.NDArray[Any]

H, W = 240, 320
# Of a value that was rounded to 8 bit and back.
EIGHT_BIT = 0.5 / 255 + 1e-6
# LittleCMS converts by tables; see tests of profiles.
PROFILE = 2 / 255


def noise(channels: int = 3) -> Pixels:
    return np.random.default_rng(5).integers(0, 256, (H, W, channels), dtype=np.uint8)


def disc() -> Pixels:
    y, x = np.mgrid[:H, :W]
    depth = 70 - np.hypot(y - 110, x - 170)
    mask: Pixels = np.rint(255 * np.clip(depth + 0.5, 0, 1)).astype(np.uint8)
    return mask


def sample(image: pyvips.Image, mask: Pixels | None = None) -> Seam:
    opened = mask_from_array(disc() if mask is None else mask, size=(H, W))
    box = mask_box(opened)
    assert box is not None
    return sample_seam(image, opened, box)


def expected(photo: Pixels) -> Pixels:
    """Colors (G, N, 6) read from floats (H, W, 3) at the places of the crossings."""
    mask = disc()
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    corners = (
        int(rows[0]),
        int(columns[0]),
        int(np.ptp(rows)) + 1,
        int(np.ptp(columns)) + 1,
    )
    crossings = find_crossings(mask, corners).spread(NUM_PAIRS)
    colors = np.zeros((GAPS, NUM_PAIRS, 6), np.float32)
    for g in range(GAPS):
        for m in range(len(crossings)):
            if crossings.is_valid[g, m]:
                inner, outer = crossings.inner[g, m], crossings.outer[g, m]
                colors[g, m] = [*photo[tuple(inner)], *photo[tuple(outer)]]
    return colors


def test_colors_are_the_photos() -> None:
    photo = noise()
    seam = sample(from_array(photo))
    assert seam.num_pairs == NUM_PAIRS
    np.testing.assert_allclose(seam.colors, expected(photo / 255), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_depth_changes_no_color(dtype: type[np.generic]) -> None:
    photo = noise()
    top = 257.0 if dtype == np.uint16 else 1 / 255
    deep = (photo * top).astype(dtype)
    seam = sample(from_array(deep))
    reference = sample(from_array(photo))
    np.testing.assert_allclose(seam.colors, reference.colors, rtol=0, atol=1e-6)


def test_highlights_above_white_are_white() -> None:
    seam = sample(from_array(np.full((H, W, 3), 4.0, np.float32)))
    assert float(seam.colors.max()) == 1.0


def test_gray_is_repeated() -> None:
    gray = noise(1)
    seam = sample(from_array(gray))
    repeated = sample(from_array(np.repeat(gray, 3, axis=2)))
    np.testing.assert_array_equal(seam.colors, repeated.colors)


def test_alpha_is_dropped_or_divided_out() -> None:
    photo = noise()
    straight = np.dstack([photo, np.full((H, W), 128, np.uint8)])
    reference = sample(from_array(photo)).colors
    np.testing.assert_array_equal(sample(from_array(straight)).colors, reference)
    multiplied = straight.copy()
    multiplied[..., :3] = np.rint(photo * (128 / 255))
    image = from_array(multiplied)
    image.set_type(pyvips.GValue.gint_type, PREMULTIPLIED, 1)
    # Half the levels are lost by the product.
    np.testing.assert_allclose(sample(image).colors, reference, rtol=0, atol=2.1 / 255)


def test_a_profile_is_converted() -> None:
    photo = from_array(noise())
    wide = photo.icc_transform("p3", input_profile="srgb", embedded=False)
    colors, reference = sample(wide).colors, sample(photo).colors
    # Very strong colors of sRGB are rounded in the wider space.
    assert float(np.abs(colors - reference).mean()) < PROFILE / 2
    assert float(np.abs(colors - sample(from_array(wide.numpy())).colors).max()) > 0.02


def test_streamed_pictures_give_the_same_pairs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reference = sample(from_array(noise()))
    path, mask_path = tmp_path / "photo.tif", tmp_path / "mask.tif"
    for pixels, target in ((noise(), path), (disc(), mask_path)):
        image = from_array(pixels)
        image.tiffsave(str(target), tile=True, tile_width=64, tile_height=64)
    monkeypatch.setattr(files, "STREAM_BYTES", 0)
    monkeypatch.setattr(mask_files, "STREAM_BYTES", 0)
    monkeypatch.setattr(pixels_module, "STREAM_BYTES", 0)
    monkeypatch.setattr(pixels_module, "STRIP_BYTES", 16 * W)
    image = files.read_photo(path)
    mask = mask_files.read_mask(mask_path, size=(H, W))
    box = mask_box(mask)
    assert box is not None
    seam = sample_seam(image, mask, box)
    np.testing.assert_array_equal(seam.colors, reference.colors)
    np.testing.assert_array_equal(seam.weight, reference.weight)


@pytest.mark.parametrize("width", [1, 2])
def test_few_crossings_are_no_seam(width: int) -> None:
    mask = np.zeros((H, W), np.uint8)
    mask[50, 60 : 60 + width] = 255  # four crossings, or six
    seam = sample(from_array(noise()), mask)
    assert seam.num_pairs == 0
    assert not seam.colors.any()


def test_a_mask_that_fills_the_photo_has_no_seam() -> None:
    assert sample(from_array(noise()), np.full((H, W), 255, np.uint8)).num_pairs == 0


def test_displaced_keeps_colors_and_breaks_pairs() -> None:
    seam = sample(from_array(noise()))
    moved = seam.displaced()
    np.testing.assert_array_equal(moved.colors[0, :, :3], seam.colors[0, :, :3])
    assert not np.array_equal(moved.colors[0, :, 3:], seam.colors[0, :, 3:])
    outer, outer_moved = (np.sort(x.colors[0, :, 3]) for x in (seam, moved))
    np.testing.assert_array_equal(outer, outer_moved)


def test_edges_towards_another_object_are_left_out() -> None:
    photo = from_array(noise())
    mask, both = disc(), disc()
    both[:, 170:] = 255  # another object right of the middle
    opened, covered = (mask_from_array(m, size=(H, W)) for m in (mask, both))
    box = mask_box(opened)
    assert box is not None
    seam = sample_seam(photo, opened, box, covered=covered)
    alone = sample_seam(photo, opened, box)
    assert 0.4 * alone.num_pairs < seam.num_pairs < alone.num_pairs
    left = sample_seam(photo, opened, box, num_pairs=10_000)
    known = {tuple(row) for row in left.colors[0, : left.num_pairs]}
    assert {tuple(row) for row in seam.colors[0, : seam.num_pairs]} <= known
