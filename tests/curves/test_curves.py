"""Laws of the color curves, and the released formula as their oracle."""

import copy
import pickle
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from imharmony.curves import MIN_SLOPE_SUM, Curves
from imharmony.errors import CurveError, ImageError, ShapeError, UsageError

Array = npt.NDArray[np.floating[Any]]

# Absolute tolerances, on the [0, 1] scale.
ATOL = {
    "rounding": 1e-12,  # a few float64 steps, times slopes of up to some hundreds
    "formula": 1e-9,  # float64: the loop sums 64 terms whose slopes reach 64 / 0.05
    "sequence": 1e-9,  # float64: the slopes of two such curves multiply
}

law = settings(deadline=None, max_examples=60)  # a busy machine is not a failure


def slopes(low: float, high: float, min_share: float) -> st.SearchStrategy[Array]:
    """Rows of 1 to 64 slopes whose sum is at least a share of the sum of sizes."""
    return (
        st.sampled_from([1, 2, 5, 64])
        .flatmap(
            lambda K: hnp.arrays(
                np.float64, (3, K), elements=st.floats(low, high, width=32)
            )
        )
        .filter(lambda p: bool((np.abs(p.sum(1)) > min_share * np.abs(p).sum(1)).all()))
    )


nonnegative = slopes(0.0, 4.0, 0.5)
mixed_signs = slopes(-1.0, 4.0, 0.05)
monotone_curves = nonnegative.map(Curves.from_params)
mixed_curves = mixed_signs.map(Curves.from_params)
any_curves = monotone_curves | mixed_curves
images = hnp.arrays(np.float64, (7, 3), elements=st.floats(-0.5, 1.5))
RAMP = np.repeat(np.linspace(-0.1, 1.1, 1201)[:, None], 3, axis=1)


def hand_made(x: list[float], y: list[float]) -> Curves:
    a, b = np.array(x), np.array(y)
    return Curves((a, a, a), (b, b, b))


def released_formula(image: Array, curve_params: Array) -> Array:
    """Evaluate the released curve, spec 1.4, as a plain loop over pieces."""
    mapped = np.zeros_like(image)
    L = curve_params.shape[1]
    for channel in range(3):
        total = sum(curve_params[channel]) + 1e-30
        for i in range(L):
            piece = np.clip(image[..., channel] - i / L, 0.0, 1.0 / L)
            mapped[..., channel] += L / total * curve_params[channel, i] * piece
    return mapped


# From slopes


@law
@given(
    K=st.integers(1, 80),
    slope=st.floats(allow_nan=False, allow_infinity=False).filter(bool),
)
def test_equal_slopes_are_the_identity(K: int, slope: float) -> None:
    assert Curves.from_params(np.full((3, K), slope)).is_identity


@law
@given(curve_params=mixed_signs)
def test_black_and_white_are_fixed(curve_params: Array) -> None:
    curves = Curves.from_params(curve_params)
    ends = np.array([[-9.0] * 3, [0.0] * 3, [1.0] * 3, [9.0] * 3])
    assert curves(ends).tolist() == [[0] * 3, [0] * 3, [1] * 3, [1] * 3]


@law
@given(
    curve_params=mixed_signs,
    scale=st.floats(1e-3, 1e3).flatmap(lambda s: st.sampled_from([s, -s])),
)
@example(curve_params=np.array([[1.0, 3.0]] * 3), scale=1e300)
@example(curve_params=np.array([[1.0, 3.0]] * 3), scale=-1e-300)
def test_only_slope_ratios_matter(curve_params: Array, scale: float) -> None:
    once = Curves.from_params(curve_params)
    scaled = Curves.from_params(scale * curve_params)
    np.testing.assert_allclose(scaled(RAMP), once(RAMP), rtol=0, atol=1e-12)


@law
@given(curve_params=nonnegative, image=images)
def test_nonnegative_slopes_stay_in_range(curve_params: Array, image: Array) -> None:
    mapped = Curves.from_params(curve_params)(image)
    assert mapped.min() >= 0
    assert mapped.max() <= 1


@law
@given(curve_params=nonnegative, image=images)
def test_nonnegative_slopes_never_reverse_an_order(
    curve_params: Array, image: Array
) -> None:
    curves = Curves.from_params(curve_params)
    assert curves.is_monotone
    steps = np.diff(curves(np.sort(image, axis=0)), axis=0)
    assert steps.min() >= -ATOL["rounding"]


@law
@given(curve_params=mixed_signs, image=images)
def test_released_formula_agrees(curve_params: Array, image: Array) -> None:
    # Below this the 1e-30 of the released formula counts.
    assume(np.abs(curve_params.sum(1)).min() > 1e-18)
    mapped = Curves.from_params(curve_params)(image)
    expected = released_formula(image, curve_params)
    np.testing.assert_allclose(mapped, expected, rtol=0, atol=ATOL["formula"])


@law
@given(curve_params=mixed_signs, image=images)
def test_mixed_signs_stay_in_the_range_of_their_knots(
    curve_params: Array, image: Array
) -> None:
    curves = Curves.from_params(curve_params)
    mapped = curves(image)
    assert np.isfinite(mapped).all()
    for channel in range(3):
        assert mapped[:, channel].min() >= curves.knots_y[channel].min()
        assert mapped[:, channel].max() <= curves.knots_y[channel].max()


def test_rounding_does_not_leave_the_range_of_the_knots() -> None:
    curves = hand_made([0, 0.03, 1], [-9, 0.3, 0.3])
    assert curves(np.full(3, np.nextafter(0.03, 0))).tolist() == [0.3] * 3


def test_opposite_slopes_overshoot_and_turn_back() -> None:
    curves = Curves.from_params(np.array([[3.0, -1.0]] * 3))
    assert not curves.is_monotone
    assert curves(np.full(3, 0.5)).tolist() == pytest.approx([1.5] * 3)


def test_rows_are_red_green_blue() -> None:
    curves = Curves.from_params(np.array([[3.0, 1.0], [1.0, 1.0], [1.0, 3.0]]))
    assert curves(np.full(3, 0.5)).tolist() == [0.75, 0.5, 0.25]


@pytest.mark.parametrize("total", [0.0, 0.9e-3, -0.9e-3])
def test_slopes_that_cancel_are_refused(total: float) -> None:
    curve_params = np.ones((3, 2))
    curve_params[1] = [1.0 + total, -1.0 + total]  # sum 2 total, sizes 2
    with pytest.raises(CurveError, match=r"green channel.*more than 0.001.*cancel"):
        Curves.from_params(curve_params)


@pytest.mark.parametrize("total", [1.1e-3, -1.1e-3])
def test_slopes_above_the_threshold_are_accepted(total: float) -> None:
    rows = np.array([[1.0 + total, -1.0 + total]] * 3)
    half = (1.0 + total) / (2 * total)  # about 455, the largest overshoot there is
    assert Curves.from_params(rows)(np.full(3, 0.5)) == pytest.approx(half)
    assert abs(half) < 0.5 / MIN_SLOPE_SUM + 1


def test_all_zero_slopes_are_refused() -> None:
    with pytest.raises(CurveError, match=r"red channel.*from 0 to 0 that cancel out"):
        Curves.from_params(np.zeros((3, 64), dtype=np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_slopes_that_are_not_finite_are_refused(bad: float) -> None:
    curve_params = np.ones((3, 4))
    curve_params[2, 1] = bad
    with pytest.raises(CurveError, match=f"blue channel: expected finite.*{bad}"):
        Curves.from_params(curve_params)


@pytest.mark.parametrize("shape", [(3,), (3, 0), (4, 64), (64, 3), (1, 3, 64), ()])
def test_params_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"shape \(3, K\), got \(.*\)"):
        Curves.from_params(np.ones(shape))


@pytest.mark.parametrize("shape", [(3,), (3, 1), (4, 65), (65, 3), (1, 3, 65), ()])
def test_heights_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"shape \(3, K \+ 1\), got \(.*\)"):
        Curves.from_heights(np.ones(shape))


# From knots


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([0, 1], [0, 0.5, 1], r"one length, at least 2, got shapes \(2,\) and \(3,\)"),
        ([0], [0], "at least 2"),
        ([[0, 1]], [[0, 1]], r"got shapes \(1, 2\)"),
        ([0, np.nan, 1], [0, 0.5, 1], "finite knots"),
        ([0, 1], [0, np.inf], "finite knots"),
        ([0.1, 1], [0, 1], "from 0 to 1, got 0.1 to 1"),
        ([0, 0.9], [0, 1], "from 0 to 1, got 0 to 0.9"),
        ([0, 0.5, 0.5, 1], [0, 0.2, 0.3, 1], "got a step of 0"),
        ([0, 0.6, 0.5, 1], [0, 0.2, 0.3, 1], "got a step of -0.1"),
    ],
)
def test_broken_knots_are_refused(x: Any, y: Any, message: str) -> None:
    good = np.array([0.0, 1.0])
    with pytest.raises(CurveError, match=f"blue channel: expected .*{message}"):
        Curves((good, good, np.array(x)), (good, good, np.array(y)))


def test_a_missing_channel_is_refused() -> None:
    ends = np.array([0.0, 1.0])
    two: Any = (ends, ends)
    with pytest.raises(CurveError, match="expected 3 arrays in knots_x, got 2"):
        Curves(two, two)


def test_the_ends_may_be_lifted() -> None:
    faded = hand_made([0, 1], [0.1, 0.9])
    assert faded(np.array([-1.0, 0.5, 2.0])).tolist() == [0.1, 0.5, 0.9]


def test_knots_are_read_only() -> None:
    curves = Curves.from_params(np.ones((3, 4)))
    for knots in (*curves.knots_x, *curves.knots_y):
        with pytest.raises(ValueError, match="read-only"):
            knots[0] = 1.0


def test_the_callers_arrays_are_copied() -> None:
    x, y = np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.7, 1.0])
    curves = Curves((x, x, x), (y, y, y))
    y[1] = 0.2
    assert curves.knots_y[0][1] == 0.7


def test_attributes_cannot_be_set() -> None:
    curves = Curves.identity()
    with pytest.raises(AttributeError):
        curves.knots_y = curves.knots_x  # type: ignore[misc]


# Pixels


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtype_and_shape_are_kept(dtype: type[np.floating[Any]]) -> None:
    image = np.random.default_rng(0).random((4, 5, 3)).astype(dtype)
    mapped = Curves.from_params(np.ones((3, 2)))(image)
    assert (mapped.dtype, mapped.shape) == (image.dtype, image.shape)
    np.testing.assert_array_equal(mapped, image)


def test_the_image_is_left_alone() -> None:
    image = np.full((2, 2, 3), 0.3)
    hand_made([0, 1], [1, 0])(image)
    assert (image == 0.3).all()


def test_nan_stays_nan() -> None:
    mapped = Curves.identity()(np.array([[np.nan, 0.5, np.inf]]))
    np.testing.assert_array_equal(mapped, [[np.nan, 0.5, 1.0]])


def test_whole_numbers_are_refused() -> None:
    image: Any = np.zeros((2, 2, 3), dtype=np.uint8)
    with pytest.raises(ImageError, match=r"float dtype, got uint8.*table"):
        Curves.identity()(image)


@pytest.mark.parametrize("shape", [(), (4,), (5, 5), (5, 5, 4), (3, 5, 5)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"shape \(\.\.\., 3\), got"):
        Curves.identity()(np.zeros(shape))


# Tables


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_identity_table_changes_nothing(
    dtype: type[np.unsignedinteger[Any]],
) -> None:
    values = np.arange(np.iinfo(dtype).max + 1)
    for curves in (Curves.identity(), Curves.from_params(np.ones((3, 64)))):
        table = curves.table(dtype)
        assert (table.dtype, table.shape) == (np.dtype(dtype), (3, len(values)))
        np.testing.assert_array_equal(table, [values] * 3)


@settings(law, max_examples=30)
@given(curves=any_curves, dtype=st.sampled_from([np.uint8, np.uint16]))
def test_table_is_the_float_path_within_half_a_step(
    curves: Curves, dtype: type[np.unsignedinteger[Any]]
) -> None:
    top = np.iinfo(dtype).max
    values = np.arange(top + 1) / top
    mapped = curves(np.stack([values] * 3, axis=-1)).clip(0, 1) * top
    difference = np.abs(curves.table(dtype).T - mapped)
    assert difference.max() <= 0.5 + 1e-9


def test_halves_round_up() -> None:
    halves = hand_made([0, 1], [0.5 / 255, 1.5 / 255]).table(np.uint8)
    assert halves[:, [0, 255]].tolist() == [[1, 2]] * 3


def test_tables_are_clipped() -> None:
    table = hand_made([0, 1], [-1, 2]).table(np.uint8)
    assert table[0, [0, 84, 127, 128, 171, 255]].tolist() == [0, 0, 126, 129, 255, 255]


def test_tables_are_read_only() -> None:
    table = Curves.identity().table(np.uint8)
    with pytest.raises(ValueError, match="read-only"):
        table[0, 0] = 1


def test_threads_get_equal_tables() -> None:
    curves = Curves.from_params(np.random.default_rng(1).random((3, 64)))
    with ThreadPoolExecutor(4) as pool:
        tables = list(pool.map(curves.table, [np.uint8, np.uint16] * 8))
    for table in tables:
        np.testing.assert_array_equal(table, curves.table(table.dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint32, bool])
def test_tables_of_another_dtype_are_refused(dtype: type[np.generic]) -> None:
    with pytest.raises(UsageError, match=r"expected dtype uint8 or uint16.*got"):
        Curves.identity().table(dtype)


# Composition


@law
@given(first=monotone_curves, second=monotone_curves, image=images)
def test_then_is_one_after_the_other(
    first: Curves, second: Curves, image: Array
) -> None:
    once = first.then(second)(image)
    twice = second(first(image))
    np.testing.assert_allclose(once, twice, rtol=0, atol=ATOL["sequence"])


@law
@given(first=any_curves, second=mixed_curves, image=images)
def test_then_is_exact_for_mixed_signs(
    first: Curves, second: Curves, image: Array
) -> None:
    once = first.then(second)
    for values in (image, RAMP):
        twice = second(first(values))
        np.testing.assert_allclose(once(values), twice, rtol=0, atol=ATOL["sequence"])


def test_then_holds_the_end_of_the_second_where_the_first_leaves_the_range() -> None:
    first = hand_made([0, 0.5, 1], [-1, 2, 0.5])
    faded = hand_made([0, 1], [0.1, 0.9])
    once = first.then(faded)
    np.testing.assert_allclose(
        once.knots_x[0], [0, 1 / 6, 1 / 3, 0.5, 5 / 6, 1], rtol=0, atol=1e-15
    )
    assert once.knots_y[0].tolist() == [0.1, 0.1, 0.9, 0.9, 0.9, 0.5]


@law
@given(first=monotone_curves, second=monotone_curves)
def test_then_keeps_order_and_fixed_points_exactly(
    first: Curves, second: Curves
) -> None:
    both = first.then(second)
    assert both.is_monotone
    assert [(y[0], y[-1]) for y in both.knots_y] == [(0.0, 1.0)] * 3


@law
@given(first=monotone_curves, second=monotone_curves)
def test_one_table_is_two_tables_within_one_rounding_step(
    first: Curves, second: Curves
) -> None:
    once = first.then(second).table(np.uint8)
    for channel in range(3):
        between = first.table(np.uint8)[channel].astype(int)
        last = second.table(np.uint8)[channel]
        assert (last[np.maximum(between - 1, 0)] <= once[channel]).all()
        assert (once[channel] <= last[np.minimum(between + 1, 255)]).all()


@law
@given(a=monotone_curves, b=monotone_curves, c=any_curves)
def test_then_is_associative(a: Curves, b: Curves, c: Curves) -> None:
    left, right = a.then(b).then(c), a.then(b.then(c))
    np.testing.assert_allclose(left(RAMP), right(RAMP), rtol=0, atol=ATOL["sequence"])


@law
@given(curves=any_curves)
def test_the_identity_before_is_neutral(curves: Curves) -> None:
    assert Curves.identity().then(curves) == curves


@law
@given(curves=any_curves)
def test_the_identity_after_only_clips(curves: Curves) -> None:
    clipped = curves.then(Curves.identity())(RAMP)
    np.testing.assert_allclose(
        clipped, curves(RAMP).clip(0, 1), rtol=0, atol=ATOL["rounding"] * 100
    )


@law
@given(curves=monotone_curves)
def test_the_identity_after_monotone_curves_is_neutral(curves: Curves) -> None:
    assert curves.then(Curves.identity()) == curves


def test_knots_that_nearly_meet_are_merged() -> None:
    # The crossing lies one float64 step before the end, which must survive it.
    before = np.nextafter(0.5, 0)
    both = hand_made([0, 1], [0, 0.5]).then(hand_made([0, before, 1], [0, 0.7, 1]))
    assert both.knots_x[0].tolist() == [0, 1]


def test_rounding_does_not_undo_the_order_of_a_composition() -> None:
    # Interpolated just before its knot at 0.03, the second curve rounds above 0.3.
    first = hand_made([0, 0.5, 1], [0, np.nextafter(0.03, 0), 0.0301])
    second = hand_made([0, 0.03, 0.5, 1], [-9, 0.3, 0.3, 1])
    assert first.then(second).is_monotone


# Strength


@law
@given(curves=any_curves)
def test_blend_ends_are_the_identity_and_the_curves(curves: Curves) -> None:
    assert curves.blend(0.0) == Curves.identity()
    assert curves.blend(1.0) == curves


@law
@given(curves=any_curves, strength=st.floats(0, 1), image=images)
def test_blend_is_linear(curves: Curves, strength: float, image: Array) -> None:
    image = image.clip(0, 1)
    expected = (1 - strength) * image + strength * curves(image)
    mapped = curves.blend(strength)(image)
    np.testing.assert_allclose(mapped, expected, rtol=0, atol=1e-11)


@law
@given(curves=monotone_curves, strength=st.floats(0, 50))
def test_blend_keeps_monotone_curves_monotone(curves: Curves, strength: float) -> None:
    blended = curves.blend(strength)
    assert blended.is_monotone
    assert [(y[0], y[-1]) for y in blended.knots_y] == [(0.0, 1.0)] * 3


@law
@given(curves=mixed_curves, strength=st.floats(1, 5, exclude_min=True))
@example(curves=hand_made([0, 0.3, 0.6, 1], [0, 1.2, -0.1, 1]), strength=2.0)
def test_strong_blend_of_turning_curves_is_the_clipped_extrapolation(
    curves: Curves, strength: float
) -> None:
    image = RAMP[100:-100]  # 0 to 1
    expected = (image + strength * (curves(image) - image)).clip(0, 1)
    mapped = curves.blend(strength)(image)
    turning = [np.diff(y).min() < 0 for y in curves.knots_y]
    np.testing.assert_allclose(
        mapped[:, turning], expected[:, turning], rtol=0, atol=ATOL["sequence"]
    )


@law
@given(curves=mixed_curves, strength=st.floats(1, 50, exclude_min=True))
def test_strong_blend_keeps_the_range(curves: Curves, strength: float) -> None:
    for y in curves.blend(strength).knots_y:
        assert y.min() >= 0
        assert y.max() <= 1


@law
@given(curves=monotone_curves, strength=st.floats(1, 20, exclude_min=True))
def test_strong_blend_is_the_mean_of_the_nearest_monotone_curves(
    curves: Curves, strength: float
) -> None:
    # The running extremes on a grid that holds every knot are those of the curve.
    blended = curves.blend(strength)
    for channel in range(3):
        x = np.union1d(RAMP[100:-100, 0], blended.knots_x[channel])
        image = np.stack([x] * 3, axis=-1)
        raw = (image + strength * (curves(image) - image)).clip(0, 1)[:, channel]
        above = np.maximum.accumulate(raw)
        below = np.minimum.accumulate(raw[::-1])[::-1]
        np.testing.assert_allclose(
            blended(image)[:, channel], (above + below) / 2, rtol=0, atol=1e-11
        )


def test_strong_blend_treats_dark_and_bright_alike() -> None:
    flat = hand_made([0, 0.25, 0.75, 1], [0, 0.45, 0.55, 1])
    strong = flat.blend(2.0)(RAMP)
    np.testing.assert_allclose(strong, 1 - strong[::-1], rtol=0, atol=1e-12)
    assert strong[600].tolist() == pytest.approx([0.5] * 3)


def test_strong_blend_exaggerates() -> None:
    brighter = hand_made([0, 0.5, 1], [0, 0.6, 1])
    assert brighter.blend(2.0)(np.full(3, 0.5)) == pytest.approx(0.7)
    assert brighter.blend(50.0)(np.full(3, 0.5)).tolist() == [1.0] * 3


@pytest.mark.parametrize("strength", [-0.1, np.nan, np.inf, -np.inf])
def test_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(UsageError, match=f"finite strength of 0.*got {strength}"):
        Curves.identity().blend(strength)


# Gray photos


@law
@given(curves=any_curves)
def test_luminance_is_the_weighted_mean(curves: Curves) -> None:
    mean = curves(RAMP) @ [0.2126, 0.7152, 0.0722]  # ITU-R BT.709
    gray = curves.luminance()(RAMP)
    for channel in range(3):
        np.testing.assert_allclose(gray[:, channel], mean, rtol=0, atol=1e-11)


def test_luminance_bends_where_any_channel_does() -> None:
    ends, third, half = [0.0, 1.0], [0.0, 0.3, 1.0], [0.0, 0.5, 1.0]
    knots = (np.array(ends), np.array(third), np.array(half))
    gray = Curves(knots, knots).luminance()
    assert [x.tolist() for x in gray.knots_x] == [[0.0, 0.3, 0.5, 1.0]] * 3


def test_luminance_merges_knots_that_nearly_meet() -> None:
    ends, half = np.array([0.0, 1.0]), np.array([0.0, 0.5, 1.0])
    later = np.array([0.0, np.nextafter(0.5, 1), 1.0])
    knots = (ends, half, later)
    assert len(Curves(knots, knots).luminance().knots_x[0]) == 3


def test_rounding_does_not_undo_the_order_of_luminance() -> None:
    # One float64 step up in green, and the weighted mean rounds one step down.
    x = np.array([0.0, 0.5, 1.0])
    red, blue = np.array([0.0, 0.3, 0.3]), np.array([0.0, 0.4, 0.4])
    green = np.array([0.0, 0.1, np.nextafter(0.1, 1)])
    assert Curves((x, x, x), (red, green, blue)).luminance().is_monotone


@law
@given(curves=monotone_curves)
def test_luminance_keeps_order_and_fixed_points(curves: Curves) -> None:
    gray = curves.luminance()
    assert gray.is_monotone
    assert [(y[0], y[-1]) for y in gray.knots_y] == [(0.0, 1.0)] * 3


@law
@given(curves=any_curves)
def test_luminance_of_gray_curves_is_the_same_object(curves: Curves) -> None:
    gray = curves.luminance()
    assert gray.luminance() == gray


# The object


def test_the_identity_is_recognized() -> None:
    assert Curves.identity().is_identity
    assert not hand_made([0, 0.5, 1], [0, 0.5000001, 1]).is_identity


def test_falling_and_flat_curves_are_told_apart() -> None:
    assert hand_made([0, 1], [0.5, 0.5]).is_monotone
    assert not hand_made([0, 0.5, 1], [0, 0.5, 0.4]).is_monotone


def test_equal_knots_make_equal_curves_of_equal_hash() -> None:
    plain, negative_zero = hand_made([0, 1], [0, 1]), hand_made([-0.0, 1], [-0.0, 1])
    assert plain == negative_zero
    assert hash(plain) == hash(negative_zero)
    assert len({plain, negative_zero, Curves.identity()}) == 1


def test_other_knots_make_other_curves() -> None:
    assert Curves.identity() != hand_made([0, 0.5, 1], [0, 0.5, 1])
    assert Curves.identity() != hand_made([0, 1], [0, 0.9])
    assert Curves.identity() != "identity"


@pytest.mark.parametrize(
    "duplicate",
    [lambda c: pickle.loads(pickle.dumps(c)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
def test_duplicates_are_equal_and_read_only(
    duplicate: Callable[[Curves], Curves],
) -> None:
    curves = Curves.from_params(np.random.default_rng(2).random((3, 64)))
    curves.table(np.uint8)
    again = duplicate(curves)
    assert again == curves
    assert not again.knots_y[0].flags.writeable


def test_repr_is_short_and_readable() -> None:
    x, y = np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.75, 1.0])
    ends, turned = np.array([0.0, 1.0]), np.array([0.0, 1.5, 1.0])
    assert repr(Curves((x, x, x), (y, x, x))) == (
        "Curves(3 knots, monotone, mid gray -> 0.75 0.50 0.50)"
    )
    assert repr(Curves((x, ends, x), (y, ends, turned))) == (
        "Curves(3/2/3 knots, not monotone, mid gray -> 0.75 0.50 1.50)"
    )


def test_exaggerating_many_turns_stays_small() -> None:
    # A hand-written file may turn back at each of its 4,096 knots.
    x = np.linspace(0, 1, 4096)
    turning = Curves((x,) * 3, (np.arange(4096) % 2 * 0.5 + 0.25,) * 3)
    tracemalloc.start()
    turning.blend(3.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
