"""Families of looks and the settings of synthesis: what is drawn, and what never."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imharmony.errors import UsageError
from imharmony.training.data import judging
from imharmony.training.data.look_settings import (
    FAMILIES,
    LOCAL,
    SELECTIVE,
    WHOLE,
    LookSettings,
)
from imharmony.training.data.looks import Look, UInt8Array
from imharmony.training.data.pool import read_pool
from imharmony.training.data.synthesis import Synthesis
from imharmony.training.data.transfers import TRANSFERS

ONLY_FOREGROUND = {"foreground": 1.0}
RAMP = np.broadcast_to(np.arange(256, dtype=np.uint8), (3, 256))


def synthesis(folder: Path, **settings: object) -> Synthesis:
    pool = read_pool(folder, split="train")
    return Synthesis(pool, LookSettings(**settings), seed=0)  # type: ignore[arg-type]


def draw(drawn: Synthesis, count: int = 40) -> list[tuple[Look, Look]]:
    """Looks of the truth and of the foreground of the first pairs."""
    return [drawn.draw_looks(i, drawn.draw_example(i)) for i in range(count)]


# Families


def test_looks_say_their_family(pool_folder: Path) -> None:
    families = dict.fromkeys(FAMILIES, 1.0)
    looks = draw(synthesis(pool_folder, families=families), 100)
    assert {real.family for real, _ in looks} == {"untouched", *WHOLE}
    assert {look.family for _, look in looks} == {"untouched", *FAMILIES}


def count_calls(monkeypatch: pytest.MonkeyPatch, family: str, calls: list[str]) -> None:
    """Note every look of a family that is made, whatever it says it is."""
    tables: list[dict[str, Callable[..., Look]]] = [WHOLE, LOCAL, SELECTIVE, TRANSFERS]
    table = next(table for table in tables if family in table)
    make = table[family]

    def counted(*args: object) -> Look:
        calls.append(family)
        return make(*args)

    monkeypatch.setitem(table, family, counted)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("share", [None, 0.0, 1.0])
def test_a_family_can_be_held_out(
    pool_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    share: float | None,
) -> None:
    made: list[str] = []
    count_calls(monkeypatch, family, made)
    families = dict.fromkeys(FAMILIES, 1.0)
    if share is None:
        del families[family]
    else:
        families[family] = share
    draw(synthesis(pool_folder, families=families), 80)
    assert bool(made) == bool(share)


@pytest.mark.parametrize("family", TRANSFERS)
def test_the_rest_never_takes_an_objects_colors(
    pool_folder: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    made: list[str] = []
    count_calls(monkeypatch, family, made)
    families = {family: 1.0, "daylight": 0.01}
    draw(synthesis(pool_folder, changed={"rest": 1.0}, families=families))
    assert made == []


@pytest.mark.parametrize("family", TRANSFERS)
def test_with_objects_colors_alone_the_rest_stays(
    pool_folder: Path, family: str
) -> None:
    for real, foreground in draw(synthesis(pool_folder, families={family: 1.0}), 4):
        np.testing.assert_allclose(real.apply(RAMP), RAMP / 255, rtol=0, atol=1e-6)
        assert foreground.family == family


def test_colors_are_taken_from_objects_of_the_same_label(
    pool_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = synthesis(pool_folder, changed=ONLY_FOREGROUND, families={"reinhard": 1.0})
    others: list[UInt8Array] = []
    make = TRANSFERS["reinhard"]

    def noted(own: UInt8Array, other: UInt8Array, strength: float) -> Look:
        others.append(other)
        return make(own, other, strength)

    monkeypatch.setitem(TRANSFERS, "reinhard", noted)
    for index in range(20):
        example = drawn.draw_example(index)
        others.clear()
        drawn.draw_looks(index, example)
        label = drawn.pool[example].semantic_label
        peers = [i for i, peer in enumerate(drawn.pool) if peer.semantic_label == label]
        known = [judging.some_foreground(*drawn.pool.pixels(i)) for i in peers]
        for other in others:
            assert any(np.array_equal(other, each) for each in known)


# Settings


def test_the_order_of_shares_does_not_matter(pool_folder: Path) -> None:
    families = dict.fromkeys(FAMILIES, 1.0)
    turned = dict(reversed(families.items()))
    one, two = (synthesis(pool_folder, families=f) for f in (families, turned))
    for looks, others in zip(draw(one, 10), draw(two, 10), strict=True):
        assert [look.family for look in looks] == [look.family for look in others]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"families": {"sepia": 1.0}}, "families gives shares .* retouch, daylight"),
        ({"families": {"retouch": 0.0}}, "families gives shares above 0"),
        ({"families": {"retouch": 1.0, "xiao": -1.0}}, "families gives shares above 0"),
        ({"changed": {"sky": 1.0}}, "changed gives shares .* foreground, rest, both"),
        ({"changed": {}}, r"changed gives shares .*, got \{\}"),
        ({"shapes": {"star": 1.0}}, "shapes gives shares .* object, ellipse, superpix"),
        (
            {"families": {"xiao": 1.0}, "changed": {"both": 1.0}},
            "families xiao change the foreground only, which changed gives no share",
        ),
    ],
)
def test_wrong_look_settings_are_refused(
    settings: dict[str, dict[str, float]], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        LookSettings(**settings)  # type: ignore[arg-type]
