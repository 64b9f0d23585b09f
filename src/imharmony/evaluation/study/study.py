"""A user study: which of two methods' pictures looks more real.

A folder holds one folder per method with equally named pictures. Voters see two
methods' pictures of the same image, in random order and without names, and choose one.
Choices are kept in SQLite; `preference` ranks the methods by them.
"""

import datetime
import itertools
import random
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from imharmony.errors import UsageError
from imharmony.evaluation.study.preference import Choice

__all__ = ["VOTES_FILE", "Study", "Trial", "Votes"]

VOTES_FILE = "votes.sqlite"
KINDS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}
"""What browsers show, by extension."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS vote (
    time TEXT NOT NULL,
    voter TEXT NOT NULL,
    image TEXT NOT NULL,
    left_method TEXT NOT NULL,
    right_method TEXT NOT NULL,
    winner TEXT NOT NULL CHECK (winner IN (left_method, right_method))
);
CREATE TABLE IF NOT EXISTS rater (number INTEGER PRIMARY KEY, token TEXT NOT NULL)
"""


@dataclass(frozen=True)
class Trial:
    """Two pictures shown side by side."""

    token: str
    """Names this showing; the form sends it back."""
    image: str
    methods: tuple[str, str]
    """Left and right."""
    picture_tokens: tuple[str, str]
    """Under which the pictures are asked for; they tell nothing."""
    number: int
    """From 1, of `num_trials`."""
    num_trials: int


@dataclass
class _Voter:
    waiting: list[tuple[str, str, str]]  # image, left, right; the last is next
    num_trials: int
    trial: Trial | None = None


@dataclass(frozen=True)
class Votes:
    """The choices in a SQLite file.

    Raises
    ------
    UsageError
        From every method, if the file cannot be used.
    """

    path: Path

    def open(self) -> None:
        """Make the file if there is none; find out whether it can be used."""
        with self._opened():
            pass

    def record(self, voter: str, trial: Trial, winner: str) -> None:
        """Keep a choice."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with self._opened() as database:
            database.execute(
                "INSERT INTO vote VALUES (?, ?, ?, ?, ?, ?)",
                (now, voter, trial.image, *trial.methods, winner),
            )

    def invite(self, num_raters: int) -> dict[str, str]:
        """Name raters by tokens, which stay the same whenever they are asked for.

        Returns
        -------
        dict of str to str
            "rater 1" and so on, by token.
        """
        with self._opened() as database:
            for number in range(1, num_raters + 1):
                database.execute(
                    "INSERT OR IGNORE INTO rater VALUES (?, ?)",
                    (number, secrets.token_urlsafe(16)),
                )
            rows = database.execute(
                "SELECT token, number FROM rater WHERE number <= ? ORDER BY number",
                (num_raters,),
            ).fetchall()
        return {token: f"rater {number}" for token, number in rows}

    def read(self) -> list[Choice]:
        """Return all choices, oldest first; none where there is no file."""
        if not self.path.exists():
            return []
        with self._opened() as database:
            rows = database.execute(
                "SELECT voter, image, winner, CASE winner WHEN left_method "
                "THEN right_method ELSE left_method END FROM vote ORDER BY rowid"
            ).fetchall()
        return [Choice(*row) for row in rows]

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path)) as database, database:
                database.executescript(_SCHEMA)
                yield database
        except sqlite3.Error as error:
            msg = f"{self.path}: cannot be used for votes ({error})"
            raise UsageError(msg) from error


@dataclass
class Study:
    """The pictures, who has seen which, and the votes. Safe to use from threads.

    Parameters
    ----------
    pictures : dict of str to dict of str to Path
        By image, then by method. See `of_folder`.
    votes : Votes
    seed : int or None
        Of the order and the sides; None takes another each time.
    """

    pictures: dict[str, dict[str, Path]]
    votes: Votes
    seed: int | None = None
    _voters: dict[str, _Voter] = field(default_factory=dict)
    _shown: dict[str, Path] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @classmethod
    def of_folder(
        cls, folder: Path, *, votes: Path | None = None, seed: int | None = None
    ) -> "Study":
        """Find the pictures of a folder that holds one folder per method.

        Parameters
        ----------
        folder : Path
            Pictures belong together if they have the same name but for the extension.
            Those of fewer than two methods are left out.
        votes : Path or None
            The SQLite file; None takes `votes.sqlite` in the folder.
        seed : int or None

        Raises
        ------
        UsageError
            If there are not two methods with pictures of the same name, or the file
            cannot be used for votes.
        """
        pictures: dict[str, dict[str, Path]] = {}
        for path in sorted(folder.glob("[!.]*/[!.]*")):
            if path.suffix.lower() in KINDS and path.is_file():
                pictures.setdefault(path.stem, {})[path.parent.name] = path
        paired = {
            name: folders for name, folders in pictures.items() if len(folders) > 1
        }
        if not paired:
            msg = (
                f"{folder}: expected one folder per method with equally named pictures "
                f"({', '.join(KINDS)}), found none of the same name in two folders"
            )
            raise UsageError(msg)
        votes_file = Votes(votes or folder / VOTES_FILE)
        votes_file.open()
        return cls(paired, votes_file, seed)

    def next_trial(self, voter: str) -> Trial | None:
        """Return what a voter is to compare now; None when they have seen all.

        The same trial again until it is answered.
        """
        with self._lock:
            state = self._voters.get(voter)
            if state is None:
                state = self._voters[voter] = self._admit(voter)
            if state.trial is None and state.waiting:
                image, *methods = state.waiting.pop()
                tokens = (secrets.token_urlsafe(12), secrets.token_urlsafe(12))
                for token, method in zip(tokens, methods, strict=True):
                    self._shown[token] = self.pictures[image][method]
                state.trial = Trial(
                    token=secrets.token_urlsafe(12),
                    image=image,
                    methods=(methods[0], methods[1]),
                    picture_tokens=tokens,
                    number=state.num_trials - len(state.waiting),
                    num_trials=state.num_trials,
                )
            return state.trial

    def answer(self, voter: str, token: str, choice: str) -> bool:
        """Take a voter's answer to a trial: "left", "right" or "skip".

        Returns
        -------
        bool
            False, and nothing is kept, if that is not the voter's trial now, such as
            when a form is sent twice, or there is no such choice.
        """
        with self._lock:
            state = self._voters.get(voter)
            trial = state.trial if state else None
            if state is None or trial is None or token != trial.token:
                return False
            if choice not in ("left", "right", "skip"):
                return False
            if choice != "skip":
                winner = trial.methods[("left", "right").index(choice)]
                self.votes.record(voter, trial, winner)
            state.trial = None
            for picture_token in trial.picture_tokens:
                del self._shown[picture_token]
            return True

    def picture(self, token: str) -> Path | None:
        """Find a picture that is being shown by its token."""
        return self._shown.get(token)

    def _admit(self, voter: str) -> _Voter:
        """Shuffle what a voter has not compared yet."""
        compared = {
            (choice.image, frozenset((choice.winner, choice.loser)))
            for choice in self.votes.read()
            if choice.voter == voter
        }
        rng = random.Random(self.seed)
        waiting = []
        for image, folders in self.pictures.items():
            for pair in itertools.combinations(folders, 2):
                if (image, frozenset(pair)) not in compared:
                    left, right = rng.sample(pair, 2)
                    waiting.append((image, left, right))
        rng.shuffle(waiting)
        return _Voter(waiting, len(waiting))
