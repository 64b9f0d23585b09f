"""The error tree that errors.py shows is the one that it defines."""

import pickle
import re

import pytest

from imharmony import cli, errors
from imharmony.errors import (
    CurveError,
    HarmonizeError,
    HarmonizeWarning,
    Hint,
    ShapeError,
    UsageError,
)
from imharmony.web.errors import to_api_error

LINE = re.compile(r" {4}([│├└─ ]*)(\w+)(?: {2,}(.*))?")
INDENT = 4  # characters per level of the drawing


def drawn_parents() -> dict[str, set[str]]:
    """Read the tree in the docstring: for each class, what it derives from."""
    parents: dict[str, set[str]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = LINE.fullmatch(line)
        if match is None:
            continue
        branch, name, text = match.groups(default="")
        above = above[: len(branch) // INDENT]
        parents[name] = set(above[-1:]) | set(re.findall(r"also an? (\w+)", text))
        above.append(name)
    return parents


def classes() -> list[type[HarmonizeError]]:
    """Every class of the tree, found from its root."""
    found = [HarmonizeError]
    for kind in found:
        found += kind.__subclasses__()
    return found


def test_docstring_shows_the_tree() -> None:
    actual = {kind.__name__: {k.__name__ for k in kind.__bases__} for kind in classes()}
    assert drawn_parents() | {"HarmonizeError": {"Exception"}} == actual


def test_every_class_is_exported() -> None:
    names = {kind.__name__ for kind in classes()}
    names |= {"HarmonizeWarning", "Hint", "WarningCode"}
    assert (sorted(names), len(set(errors.__all__))) == (errors.__all__, len(names))


def test_every_class_says_what_it_means() -> None:
    assert all(kind.__doc__ for kind in (*classes(), HarmonizeWarning))


@pytest.mark.parametrize("kind", [ShapeError, CurveError])
def test_wrong_values_are_also_value_errors(kind: type[Exception]) -> None:
    with pytest.raises(ValueError, match="expected three"):
        raise kind("expected three")


def test_hint_is_beside_the_message_and_survives_pickling() -> None:
    error = UsageError("out.png: exists already", hint=Hint.OVERWRITE)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.hint) == ("out.png: exists already", Hint.OVERWRITE)
    assert again.__notes__ == ["overwrite=True replaces it"]


@pytest.mark.parametrize("hint", Hint)
def test_every_surface_has_words_for_every_hint(hint: Hint) -> None:
    (argument,) = UsageError("no", hint=hint).__notes__
    assert "--" not in argument
    assert cli._HINTS[hint].startswith("--")
    assert "--" not in to_api_error(UsageError("no", hint=hint)).message


def test_warning_is_no_error() -> None:
    assert issubclass(HarmonizeWarning, UserWarning)
    assert not issubclass(HarmonizeWarning, HarmonizeError)
