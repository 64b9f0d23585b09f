"""The grid alone: what it does to colors, and what it is fitted to."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from imharmony.colors import BT709_LUMA
from imharmony.errors import ShapeError, UsageError
from imharmony.images.photo import Box, from_array, to_array
from imharmony.rendering import grid_fitting
from imharmony.rendering.bilateral_grid import NUM_KNOTS, BilateralGrid

Pixels = npt.NDArray[Any]

H, W = 37, 53
DTYPES = ("uint8", "uint16", "float32")
FULL = {"uint8": 255, "uint16": 65535, "float32": 1}
WHOLE = Box(0, 0, H, W)


def pixels(dtype: str = "uint8", num_channels: int = 3) -> Pixels:
    values = np.random.default_rng(0).random((H, W, num_channels))
    image: Pixels = (values * FULL[dtype]).astype(dtype)
    return image


def random_grid(seed: int = 0) -> BilateralGrid:
    """Small changes, of a box from (5, 7) on."""
    nodes = np.random.default_rng(seed).normal(0, 0.1, (4, 5, 3, NUM_KNOTS + 3))
    return BilateralGrid((5, 7), (8, 16), nodes.astype(np.float32))


def recolor_by_loops(grid: BilateralGrid, colors: Pixels, at: Pixels) -> Pixels:
    """What the docstring of the grid says, color by color (N, 3) of [0, 1]."""
    out = np.empty(colors.shape)
    num_rows, num_columns = grid.nodes.shape[:2]
    for k, (color, (y, x)) in enumerate(zip(colors, at, strict=True)):
        row = np.clip((y + 0.5 - grid.corner[0]) / grid.cell[0], 0, num_rows - 1)
        column = np.clip((x + 0.5 - grid.corner[1]) / grid.cell[1], 0, num_columns - 1)
        for c in range(3):
            change = 0.0
            for i, j in np.ndindex(num_rows, num_columns):
                weight = max(0, 1 - abs(row - i)) * max(0, 1 - abs(column - j))
                curve, mix = np.split(grid.nodes[i, j, c], [NUM_KNOTS])
                height = np.interp(color[c], np.linspace(0, 1, NUM_KNOTS), curve)
                change += weight * (height + mix @ color)
            out[k, c] = np.clip(color[c] + change, 0, 1)
    return out


def recolored(grid: BilateralGrid, image: Pixels, box: Box = WHOLE) -> Pixels:
    return to_array(grid.recolor(box.crop(from_array(image)), box))


# What a grid does


@pytest.mark.parametrize("dtype", DTYPES)
def test_pixels_get_what_a_plain_loop_gives(dtype: str) -> None:
    image, grid = pixels(dtype), random_grid()
    at = np.argwhere(np.random.default_rng(1).random((H, W)) < 0.1)
    rows, columns = at.T
    expected = recolor_by_loops(grid, image[rows, columns] / FULL[dtype], at)
    found = recolored(grid, image)[rows, columns] / FULL[dtype]
    # Half a step of the depth and some float32; floats are looked up at 16 bit, where
    # these curves, steeper than any that is fitted, rise by up to 3 steps.
    tolerance = {"uint8": 0.501 / 255, "uint16": 0.6 / 65535, "float32": 1.5 / 65535}
    assert np.abs(found - expected).max() <= tolerance[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("box", [Box(0, 0, 1, 1), Box(11, 3, 20, 41), Box(36, 0, 1, W)])
def test_a_part_gets_the_bytes_that_it_gets_in_the_whole(dtype: str, box: Box) -> None:
    image, grid = pixels(dtype), random_grid()
    part = recolored(grid, image, box)
    assert part.tobytes() == box.view(recolored(grid, image)).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_channels", [1, 3])
def test_identity_gives_the_bytes_back(dtype: str, num_channels: int) -> None:
    image = pixels(dtype, num_channels)
    grid = BilateralGrid.identity()
    assert grid.is_identity
    assert recolored(grid, image).tobytes() == image.tobytes()


def test_floats_beyond_the_range_keep_their_distance_from_it() -> None:
    grid = random_grid()
    ends = np.where(pixels("float32") > 0.5, np.float32(1), np.float32(0))
    outside = np.where(ends > 0, np.float32(2.5), np.float32(-0.75))
    expected = recolored(grid, ends) + (outside - ends)
    np.testing.assert_allclose(recolored(grid, outside), expected, atol=1e-6)


def test_gray_gets_the_luminance_of_the_changes() -> None:
    image, grid = pixels("float32", 1) / 2 + np.float32(0.25), random_grid()
    grid = grid.blend(0.25)  # so that nothing is clipped
    color = recolored(grid, np.repeat(image, 3, axis=2))
    expected = image + (color - image) @ np.array(BT709_LUMA)[:, None]
    np.testing.assert_allclose(
        recolored(grid.luminance(), image), expected, rtol=0, atol=1e-6
    )


def test_strength_multiplies_the_change() -> None:
    image, grid = pixels("float32") / 2 + np.float32(0.25), random_grid()
    grid = grid.blend(0.25)
    half = recolored(grid.blend(0.5), image)
    whole = recolored(grid, image)
    np.testing.assert_allclose(half, (image + whole) / 2, rtol=0, atol=1e-6)


def test_strength_0_is_the_identity() -> None:
    assert random_grid().blend(0).is_identity


@pytest.mark.parametrize("strength", [-0.5, float("nan"), float("inf")])
def test_impossible_strength(strength: float) -> None:
    with pytest.raises(UsageError, match=r"^expected a finite strength of 0 or more"):
        random_grid().blend(strength)


@pytest.mark.parametrize("shape", [(1, 2, 3, 12), (2, 2, 3, 11), (2, 2, 12)])
def test_nodes_of_another_shape(shape: tuple[int, ...]) -> None:
    message = r"^expected nodes of shape \(rows, columns, 3, 12\), at least 2 rows"
    with pytest.raises(ShapeError, match=message):
        BilateralGrid((0, 0), (1, 1), np.zeros(shape, np.float32))


def test_nodes_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        random_grid().nodes[0] = 0


# What a grid is fitted to

N = 64  # of the small picture


def small() -> Pixels:
    """Waves and noise within [0.1, 0.9], (3, N, N)."""
    y, x = np.mgrid[:N, :N] / N
    waves = np.stack([np.sin((5 + 3 * c) * x + 7 * y + c) for c in range(3)])
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, waves.shape)
    picture: Pixels = 0.5 + 0.3 * waves + noise
    return picture


def fit(
    before: Pixels, after: Pixels, weights: Pixels | None = None, scale: int = 1
) -> BilateralGrid:
    weights = np.ones((N, N)) if weights is None else weights
    size = (scale * N, scale * N)
    return BilateralGrid.fit(before, after, weights, box=Box(0, 0, *size), size=size)


def steps_off(grid: BilateralGrid, before: Pixels, after: Pixels) -> Pixels:
    """How far the grid is off at the small picture itself, in 8-bit steps."""
    image = np.ascontiguousarray(before.transpose(1, 2, 0), np.float32)
    got = recolored(grid, image, Box(0, 0, N, N)).transpose(2, 0, 1)
    off: Pixels = 255 * np.abs(got - after)
    return off


def affine(colors: Pixels) -> Pixels:
    matrix = np.array([[0.7, 0.1, 0.05], [0.0, 0.8, 0.1], [0.1, -0.1, 0.9]])
    offset = np.array([0.05, 0.0, -0.02])[:, None, None]
    mapped: Pixels = np.tensordot(matrix, colors, 1) + offset
    return mapped


def test_an_affine_change_is_met() -> None:
    before = small()
    assert steps_off(fit(before, affine(before)), before, affine(before)).max() < 0.1


@pytest.mark.parametrize("axis", [1, 2])
def test_a_gradient_of_light_is_met(axis: int) -> None:
    before = small()
    light = 0.4 + 0.6 * np.indices(before.shape)[axis] / N
    after = before * light
    off = steps_off(fit(before, after), before, after)
    assert off.max() < 1.3
    assert off.mean() < 0.12


@pytest.mark.parametrize("axis", [0, 1])
def test_places_are_those_of_the_photo(axis: int) -> None:
    before = small()
    light = 0.4 + 0.6 * (np.indices((N, N))[axis] + 0.5) / N
    grid = fit(before, before * light, scale=5)
    size = 5 * N
    places = (np.indices((size, size))[axis] + 0.5) / size
    found = recolored(
        grid, np.full((size, size, 3), 0.5, np.float32), Box(0, 0, size, size)
    )
    expected = 0.5 * (0.4 + 0.6 * places)[..., None]
    assert 255 * np.abs(found - expected).mean() < 0.4


def test_all_pixels_of_a_cell_count() -> None:
    before = np.repeat(np.repeat(small(), 2, axis=1), 2, axis=2)  # 16 pixels per cell
    is_upper = np.arange(2 * N) % 16 < 8
    after = before + np.where(is_upper, 0.1, -0.1)[:, None]
    size = (2 * N, 2 * N)
    grid = BilateralGrid.fit(
        before, after, np.ones(size), box=Box(0, 0, *size), size=size
    )
    assert grid.cell == (16, 16)
    assert abs(grid.nodes[1:-1, :, :, :NUM_KNOTS].mean()) < 0.01


def test_a_curve_is_met() -> None:
    before = small()
    after = before ** np.array([0.7, 1.0, 1.4])[:, None, None]
    assert steps_off(fit(before, after), before, after).max() < 2


def test_nothing_to_change_is_nearly_the_identity() -> None:
    before = small()
    assert np.abs(fit(before, before).nodes).max() < 1e-6


def test_without_weight_nothing_changes() -> None:
    before = small()
    assert fit(before, before / 2, np.zeros((N, N))).is_identity


def test_pixels_without_weight_do_not_count() -> None:
    before, after = small(), small() / 2
    weights = np.zeros((N, N))
    weights[16:48, 16:48] = 1
    spoiled = np.where(weights > 0, after, 1)
    np.testing.assert_array_equal(
        fit(before, spoiled, weights).nodes, fit(before, after, weights).nodes
    )


def test_the_change_goes_on_where_nothing_is_known() -> None:
    before = small()
    after = affine(before)
    weights = np.zeros((N, N))
    weights[20:40, 25:45] = 1
    assert steps_off(fit(before, after, weights), before, after).max() < 0.1


def test_nodes_without_pixels_take_their_neighbors_change() -> None:
    before = small()
    after = before + np.linspace(-0.1, 0.1, N)
    weights = np.zeros((N, N))
    weights[:, :32] = 1
    knots = fit(before, after, weights).nodes[..., :NUM_KNOTS].mean(axis=(0, 2, 3))
    # Beyond the middle the last change that is known, and nothing more extreme.
    assert np.ptp(knots[len(knots) // 2 + 1 :]) < 0.02


def test_a_single_pixel_is_met() -> None:
    before = small()
    weights = np.zeros((N, N))
    weights[10, 20] = 1
    off = steps_off(fit(before, before + 0.05, weights), before, before + 0.05)
    assert off[:, 10, 20].max() < 0.1


def test_only_ratios_of_weights_matter() -> None:
    before, after = small(), affine(small())
    weights = np.random.default_rng(1).random((N, N))
    one, other = (fit(before, after, k * weights).nodes for k in (1, 8))
    np.testing.assert_array_equal(one, other)


def test_cells_are_powers_of_two_and_at_most_ten_a_side() -> None:
    before = small()
    for scale in (1, 3, 7, 40):
        grid = fit(before, before, scale=scale)
        for cell, nodes in zip(grid.cell, grid.nodes.shape[:2], strict=True):
            assert cell & (cell - 1) == 0
            assert cell * (nodes - 2) < scale * N <= cell * (nodes - 1)
            assert nodes - 1 <= grid_fitting.MAX_CELLS


def test_blocks_are_solved_as_the_whole_system_is() -> None:
    rng = np.random.default_rng(0)
    block, band, count = 3, 6, 8
    size = block * count
    place = np.arange(size) // block
    is_near = np.abs(place[:, None] - place) * block <= band
    matrix = np.where(is_near, rng.normal(size=(size, size)), 0)
    matrix = matrix + matrix.T + 20 * np.eye(size)
    right = rng.normal(size=size)
    expected = np.linalg.solve(matrix, right)
    found = grid_fitting._solve(matrix.copy(), right.copy(), block=block, band=band)
    np.testing.assert_allclose(found, expected, atol=1e-12)
