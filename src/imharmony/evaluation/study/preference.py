"""From pairwise choices to preferences: the Bradley-Terry model.

Each method i has a strength p_i, and is chosen over j with probability
p_i / (p_i + p_j) (R. A. Bradley, M. E. Terry, "Rank Analysis of Incomplete Block
Designs", Biometrika 39, 1952). Fitted by the MM algorithm of D. R. Hunter, "MM
Algorithms for Generalized Bradley-Terry Models", Annals of Statistics 32(1), 2004.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.errors import UsageError
from imharmony.evaluation.reports.statistics import Interval, take_interval
from imharmony.evaluation.reports.tables import Grid

__all__ = ["Choice", "Preference", "fit_strengths", "preference_tables", "preferences"]

FloatArray = npt.NDArray[np.floating[Any]]

NUM_RESAMPLES = 1000
MAX_STEPS = 2000
TOLERANCE = 1e-8  # largest change of a strength, of 1 in all, in a step
PRIOR = 0.5  # imaginary choices of each method over each other


@dataclass(frozen=True)
class Choice:
    """One picture preferred to another."""

    voter: str
    image: str
    winner: str
    loser: str


@dataclass(frozen=True)
class Preference:
    """How one method fares."""

    method: str
    strength: Interval
    """Share of all strengths: the model's probability to be chosen among all methods.
    The interval is a bootstrap's over images, with all choices made on them."""
    num_won: int
    num_shown: int


def fit_strengths(wins: FloatArray) -> FloatArray:
    """Fit the strengths of methods to counts of choices.

    Parameters
    ----------
    wins : ndarray, shape (..., M, M)
        How often method i was chosen over method j, in row i, column j. To every two
        methods half a choice each way is added, so that a method that never won has a
        strength too.

    Returns
    -------
    ndarray, shape (..., M)
        They sum to 1.

    Examples
    --------
    Two methods, of which the first won 5 of 8 times, 5.5 of 9 with the half added:

    >>> fit_strengths(np.array([[0, 5], [3, 0]])).round(6).tolist()
    [0.611111, 0.388889]
    """
    num_methods = wins.shape[-1]
    counts = wins + PRIOR * (1 - np.eye(num_methods))
    met = counts + counts.swapaxes(-1, -2)  # (..., M, M)
    won = counts.sum(axis=-1)  # (..., M)
    strengths = np.full(won.shape, 1 / num_methods)
    for _ in range(MAX_STEPS):
        pairs = strengths[..., :, None] + strengths[..., None, :]
        new = won / (met / pairs).sum(axis=-1)
        new /= new.sum(axis=-1, keepdims=True)
        change = np.abs(new - strengths).max()
        strengths = new
        if change < TOLERANCE:
            break
    return strengths


def preferences(choices: Sequence[Choice], *, seed: int = 0) -> list[Preference]:
    """Rank methods, the most preferred first.

    Raises
    ------
    UsageError
        If there is no choice.
    """
    if not choices:
        msg = "expected votes to rank the methods by, found none"
        raise UsageError(msg)
    methods = sorted(
        {name for choice in choices for name in (choice.winner, choice.loser)}
    )
    images = sorted({choice.image for choice in choices})
    wins = np.zeros((len(images), len(methods), len(methods)))
    for choice in choices:
        row, column = methods.index(choice.winner), methods.index(choice.loser)
        wins[images.index(choice.image), row, column] += 1
    total = wins.sum(axis=0)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(
        len(images), np.full(len(images), 1 / len(images)), size=NUM_RESAMPLES
    )
    resampled = fit_strengths(np.tensordot(counts, wins, axes=1))  # (resamples, M)
    strengths = fit_strengths(total)
    ranked = [
        Preference(
            method=method,
            strength=take_interval(float(strengths[number]), resampled[:, number]),
            num_won=int(total[number].sum()),
            num_shown=int(total[number].sum() + total[:, number].sum()),
        )
        for number, method in enumerate(methods)
    ]
    return sorted(ranked, key=lambda preference: -preference.strength.mean)


def preference_tables(choices: Sequence[Choice]) -> list[str | Grid]:
    """Put the result of a study together; as table 2 of arXiv:2109.05750."""
    voters = {choice.voter for choice in choices}
    images = {choice.image for choice in choices}
    rows = tuple(
        (
            entry.method,
            f"{entry.strength.mean:.1%} ({entry.strength.low:.1%}–"
            f"{entry.strength.high:.1%})",
            str(entry.num_won),
            str(entry.num_shown),
        )
        for entry in preferences(choices)
    )
    return [
        f"{len(choices)} choices between two pictures by {len(voters)} voters, on "
        f"{len(images)} images. Preference is the Bradley-Terry share, with 95 % "
        "intervals of a bootstrap over images.",
        Grid(("method", "preference", "chosen", "shown"), rows),
    ]
