"""Curves fitted to a change of colors."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from imharmony.curves.fitting import fit_curves

Pixels = npt.NDArray[Any]

N = 64


def colors(low: float = 0.0, high: float = 1.0) -> Pixels:
    return np.random.default_rng(0).uniform(low, high, (3, N, N))


@pytest.mark.parametrize("exponent", [0.6, 1.0, 1.7])
def test_a_curve_is_met(exponent: float) -> None:
    before = colors()
    fitted = fit_curves(before, before**exponent, np.ones((N, N)))
    levels = np.repeat(np.linspace(0.1, 0.9, 50)[:, None], 3, axis=1)
    np.testing.assert_allclose(fitted.curves(levels), levels**exponent, atol=1e-3)


def test_channels_are_fitted_apart() -> None:
    before = colors()
    after = before * np.array([0.5, 0.75, 1.0])[:, None, None]
    mid = fit_curves(before, after, np.ones((N, N))).curves(np.full(3, 0.5))
    np.testing.assert_allclose(mid, [0.25, 0.375, 0.5], atol=1e-3)


def test_curves_never_fall() -> None:
    before = colors()
    fitted = fit_curves(before, 4 * (before - 0.5) ** 2, np.ones((N, N)))
    assert fitted.curves.is_monotone


def test_residual_is_that_of_the_curves() -> None:
    before = colors()
    after = before[::-1] / 2 + before / 2  # a mix of channels is no curve
    weights = np.random.default_rng(1).random((N, N))
    fitted = fit_curves(before, after, weights)
    got = fitted.curves(before.transpose(1, 2, 0)).transpose(2, 0, 1)
    error = 255 * (got - after)
    expected = np.sqrt(np.average((error**2).mean(axis=0), weights=weights))
    assert fitted.rms == pytest.approx(expected)
    assert fitted.largest == pytest.approx(np.abs(error).max())


def test_no_straight_line_comes_nearer() -> None:
    before = colors()
    after = before[::-1] / 2 + before / 2
    fitted = fit_curves(before, after, np.ones((N, N)))
    line = np.array(
        [
            np.polyval(np.polyfit(b.ravel(), a.ravel(), 1), b)
            for b, a in zip(before, after, strict=True)
        ]
    )
    assert fitted.rms <= 255 * np.sqrt(((line - after) ** 2).mean())


def test_pixels_without_weight_do_not_count() -> None:
    before = colors()
    weights = np.zeros((N, N))
    weights[:, :40] = 1
    spoiled = np.where(weights > 0, before / 2, 1)
    fitted = fit_curves(before, spoiled, weights)
    assert fitted.curves == fit_curves(before, before / 2, weights).curves
    assert fitted.rms < 0.1


def test_values_that_no_color_has_continue_the_curve() -> None:
    before = colors(0.4, 0.6)
    fitted = fit_curves(before, before + 0.1, np.ones((N, N)))
    near = fitted.curves(np.full(3, 0.65))
    np.testing.assert_allclose(near, 0.75, atol=0.01)


def test_without_weight_nothing_changes() -> None:
    fitted = fit_curves(colors(), colors() / 2, np.zeros((N, N)))
    assert (fitted.curves.is_identity, fitted.rms, fitted.largest) == (True, 0, 0)
