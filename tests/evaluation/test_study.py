"""The user study: what is shown, votes, preferences."""

import itertools
import re
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from imharmony.errors import UsageError
from imharmony.evaluation.study.preference import (
    Choice,
    fit_strengths,
    preference_tables,
    preferences,
)
from imharmony.evaluation.study.study import Study, Votes
from imharmony.images import files, photo

METHODS = ("input", "ours", "theirs")
IMAGES = ("a", "b")
# Three pairs of methods on two images.
NUM_TRIALS = 6

# Agreement of two iterations that both stop at changes of 1e-8.
FIT = 1e-6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A picture per method and image, each of its own gray."""
    root = tmp_path / "study"
    for number, (method, image) in enumerate(itertools.product(METHODS, IMAGES)):
        (root / method).mkdir(parents=True, exist_ok=True)
        picture = np.full((6, 8, 3), 10 * number, np.uint8)
        suffix = ".png" if method == "ours" else ".webp"
        files.write_photo(photo.from_array(picture), root / method / (image + suffix))
    return root


@pytest.fixture
def study(folder: Path) -> Study:
    return Study.of_folder(folder, seed=0)


def stored(path: Path) -> list[tuple[object, ...]]:
    database = sqlite3.connect(path)
    rows = database.execute("SELECT * FROM vote").fetchall()
    database.close()
    return rows


# What is shown


def test_equally_named_pictures_belong_together(study: Study) -> None:
    assert set(study.pictures) == set(IMAGES)
    assert {tuple(held) for held in study.pictures.values()} == {METHODS}


def test_a_picture_of_one_method_alone_is_left_out(folder: Path) -> None:
    (folder / "ours" / "lonely.png").write_bytes(b"")
    (folder / "ours" / "notes.txt").write_text("")
    (folder / "theirs" / "notes.txt").write_text("")
    assert set(Study.of_folder(folder).pictures) == set(IMAGES)


def test_a_folder_without_two_methods_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "a.png").write_bytes(b"")
    with pytest.raises(UsageError, match="found none of the same name in two folders"):
        Study.of_folder(tmp_path)


def answered(study: Study, voter: str, choice: str = "left") -> list[tuple[str, ...]]:
    """Answer all trials of a voter; return what was shown."""
    shown: list[tuple[str, ...]] = []
    while (trial := study.next_trial(voter)) is not None:
        shown.append((trial.image, *trial.methods))
        assert study.answer(voter, trial.token, choice)
    return shown


def test_every_pair_of_methods_is_shown_once_on_every_image(study: Study) -> None:
    shown = [(image, frozenset(pair)) for image, *pair in answered(study, "v")]
    expected = {
        (image, frozenset(pair))
        for image in IMAGES
        for pair in itertools.combinations(METHODS, 2)
    }
    assert len(shown) == NUM_TRIALS
    assert set(shown) == expected


@pytest.fixture
def orders(folder: Path) -> list[list[tuple[str, ...]]]:
    """What twelve voters see; the chance that any two do the same is tiny."""
    study = Study.of_folder(folder)  # not seeded
    return [answered(study, f"voter {number}", "skip") for number in range(12)]


def test_order_differs_between_voters(orders: list[list[tuple[str, ...]]]) -> None:
    seen = {
        tuple((image, frozenset(pair)) for image, *pair in order) for order in orders
    }
    assert len(seen) > 6


def test_sides_differ_between_voters(orders: list[list[tuple[str, ...]]]) -> None:
    sides = {shown[1:] for order in orders for shown in order}
    assert sides == set(itertools.permutations(METHODS, 2))


def test_a_trial_stays_until_it_is_answered(study: Study) -> None:
    assert study.next_trial("v") is study.next_trial("v")


def test_trials_are_counted(study: Study) -> None:
    first = study.next_trial("v")
    assert first is not None
    assert (first.number, first.num_trials) == (1, NUM_TRIALS)
    study.answer("v", first.token, "left")
    second = study.next_trial("v")
    assert second is not None
    assert second.number == 2


# Votes


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_vote_is_for_the_side_that_was_chosen(
    study: Study, folder: Path, side: str
) -> None:
    trial = study.next_trial("v")
    assert trial is not None
    study.answer("v", trial.token, side)
    ((time, *row),) = stored(folder / "votes.sqlite")
    winner = trial.methods[0 if side == "left" else 1]
    assert row == ["v", trial.image, *trial.methods, winner]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", str(time))


def test_skipping_is_no_vote(study: Study, folder: Path) -> None:
    assert len(answered(study, "v", "skip")) == NUM_TRIALS
    assert stored(folder / "votes.sqlite") == []


def test_an_answer_sent_twice_counts_once(study: Study, folder: Path) -> None:
    trial = study.next_trial("v")
    assert trial is not None
    assert study.answer("v", trial.token, "left")
    assert not study.answer("v", trial.token, "right")
    assert len(stored(folder / "votes.sqlite")) == 1


@pytest.mark.parametrize("choice", ["", "both", "LEFT", "ours"])
def test_no_other_answer_is_taken(study: Study, folder: Path, choice: str) -> None:
    trial = study.next_trial("v")
    assert trial is not None
    assert not study.answer("v", trial.token, choice)
    assert stored(folder / "votes.sqlite") == []


def test_nobody_answers_for_another_voter(study: Study) -> None:
    trial = study.next_trial("v")
    assert trial is not None
    study.next_trial("w")
    assert not study.answer("w", trial.token, "left")
    assert not study.answer("nobody", trial.token, "left")


def test_a_voter_who_comes_back_sees_the_rest(folder: Path, study: Study) -> None:
    trial = study.next_trial("v")
    assert trial is not None
    study.answer("v", trial.token, "left")
    later = Study.of_folder(folder)
    rest = answered(later, "v")
    assert len(rest) == NUM_TRIALS - 1
    pair = (trial.image, frozenset(trial.methods))
    assert pair not in {(image, frozenset(methods)) for image, *methods in rest}


def test_votes_are_read_as_choices(study: Study, folder: Path) -> None:
    answered(study, "v", "right")
    choices = Votes(folder / "votes.sqlite").read()
    assert len(choices) == NUM_TRIALS
    for choice, row in zip(choices, stored(folder / "votes.sqlite"), strict=True):
        _, voter, image, left, right, winner = row
        assert (choice.voter, choice.image) == (voter, image)
        assert (choice.winner, choice.loser) == (right, left) == (winner, left)


def test_a_file_that_is_no_database_is_refused(folder: Path) -> None:
    (folder / "votes.sqlite").write_text("not a database, but long enough to be read")
    with pytest.raises(UsageError, match=r"votes\.sqlite: cannot be used for votes"):
        Study.of_folder(folder)


def test_votes_can_lie_elsewhere(folder: Path, tmp_path: Path) -> None:
    study = Study.of_folder(folder, votes=tmp_path / "elsewhere.db")
    answered(study, "v")
    assert len(stored(tmp_path / "elsewhere.db")) == NUM_TRIALS
    assert not (folder / "votes.sqlite").exists()


# Preferences


def test_two_methods_by_hand() -> None:
    # 30 of 40, with half a choice each way: 30.5 / 41.
    strengths = fit_strengths(np.array([[0.0, 30.0], [10.0, 0.0]]))
    np.testing.assert_allclose(strengths, [30.5 / 41, 10.5 / 41], atol=FIT)


def test_the_fit_solves_the_likelihoods_equations() -> None:
    # At the maximum, each method won as often as the model expects.
    rng = np.random.default_rng(0)
    wins = rng.integers(0, 40, (5, 5)).astype(float)
    np.fill_diagonal(wins, 0)
    p = fit_strengths(wins)
    counts = wins + 0.5 * (1 - np.eye(5))
    met = counts + counts.T
    expected = (met * p[:, None] / (p[:, None] + p[None, :])).sum(axis=1)
    np.testing.assert_allclose(expected, counts.sum(axis=1), rtol=1e-5)
    assert p.sum() == pytest.approx(1)


def test_known_strengths_are_found_again() -> None:
    true = np.array([0.5, 0.3, 0.15, 0.05])
    met = 100_000
    wins = met * true[:, None] / (true[:, None] + true[None, :])
    np.fill_diagonal(wins, 0)
    np.testing.assert_allclose(fit_strengths(wins), true, atol=1e-4)


def test_many_fits_at_once_are_single_fits() -> None:
    wins = np.random.default_rng(0).integers(0, 9, (4, 3, 3)).astype(float)
    wins[:, range(3), range(3)] = 0
    together = fit_strengths(wins)
    alone = np.array([fit_strengths(one) for one in wins])
    np.testing.assert_allclose(together, alone, atol=FIT)


def test_a_method_that_never_won_has_a_strength() -> None:
    strengths = fit_strengths(np.array([[0.0, 9.0], [0.0, 0.0]]))
    assert strengths[1] == pytest.approx(0.5 / 10, abs=FIT)


def choices(seed: int = 0) -> list[Choice]:
    """Voters who choose `good` over `bad` three times in four, `bad` over `ugly`."""
    rng = np.random.default_rng(seed)
    order = {"good": 9.0, "bad": 3.0, "ugly": 1.0}
    made = []
    for image, voter in itertools.product(range(30), range(4)):
        for a, b in itertools.combinations(order, 2):
            wins = rng.random() < order[a] / (order[a] + order[b])
            winner, loser = (a, b) if wins else (b, a)
            made.append(Choice(f"voter {voter}", f"image {image}", winner, loser))
    return made


def test_methods_are_ranked_by_preference() -> None:
    ranked = preferences(choices())
    assert [entry.method for entry in ranked] == ["good", "bad", "ugly"]
    for entry, expected in zip(ranked, (9 / 13, 3 / 13, 1 / 13), strict=True):
        assert entry.strength.low < expected < entry.strength.high
        assert entry.num_shown == 240


def test_intervals_grow_when_there_are_fewer_images() -> None:
    few = [choice for choice in choices() if choice.image < "image 2"]
    many = preferences(choices())[0].strength
    less = preferences(few)[0].strength
    assert less.high - less.low > many.high - many.low


def test_preferences_are_seeded() -> None:
    assert preferences(choices()) == preferences(choices())


def test_the_table_has_shares_and_counts() -> None:
    text, grid = preference_tables(choices())
    assert str(text).startswith(
        "360 choices between two pictures by 4 voters, on 30 images."
    )
    assert not isinstance(grid, str)
    assert grid.head == ("method", "preference", "chosen", "shown")
    assert grid.rows[0][0] == "good"
    assert grid.rows[0][3] == "240"
