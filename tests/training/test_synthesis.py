"""Training pairs: what is drawn, what stays, and how far looks go."""

from pathlib import Path

import numpy as np
import pytest
import torch

from imharmony.errors import UsageError
from imharmony.evaluation.baselines import FloatArray, lab_statistics
from imharmony.training.data import synthesis as looks
from imharmony.training.data.pool import UInt8Array, read_pool
from imharmony.training.data.synthesis import (
    FAMILIES,
    Look,
    LookSettings,
    Pair,
    Synthesis,
)

SIZE = (24, 32)
# One step of single precision near 1, twice.
ROUNDING = 2.5e-7

RAMP = np.broadcast_to(np.arange(256, dtype=np.uint8), (3, 256))
UNTOUCHED = RAMP.astype(np.float32) / 255

ONLY_FOREGROUND = {"foreground": 1.0}
ONLY_RETOUCH = {"retouch": 1.0}


def synthesis(folder: Path, *, seed: int = 0, **settings: object) -> Synthesis:
    pool = read_pool(folder, split="train")
    return Synthesis(pool, LookSettings(**settings), seed=seed)  # type: ignore[arg-type]


def draw(drawn: Synthesis, count: int = 40) -> list[tuple[int, Look, Look]]:
    """Example, look of the truth and look of the foreground of the first pairs."""
    examples = [drawn.draw_example(index) for index in range(count)]
    return [(e, *drawn.draw_looks(i, e)) for i, e in enumerate(examples)]


def object_pixels(drawn: Synthesis, example: int) -> UInt8Array:
    """All pixels well inside the object, (3, N)."""
    photo, mask = drawn.pool.pixels(example)
    pixels: UInt8Array = photo[mask == 255].T
    return pixels


def is_untouched(look: Look) -> bool:
    return bool(np.abs(look.apply(RAMP) - UNTOUCHED).max() < ROUNDING)


# Which pair


def test_a_pair_depends_on_seed_and_index_alone(pool_folder: Path) -> None:
    drawn = synthesis(pool_folder)
    batch = drawn.batch([7, 3, 5], SIZE)
    alone = synthesis(pool_folder).batch([5], SIZE)
    for together, one in zip(batch, alone, strict=True):
        assert torch.equal(together[2:], one)


def test_another_seed_gives_another_pair(pool_folder: Path) -> None:
    first, second = (synthesis(pool_folder, seed=s).batch([0], SIZE) for s in (0, 1))
    assert not torch.equal(first.composite, second.composite)


def test_every_example_gets_drawn(pool_folder: Path) -> None:
    drawn = synthesis(pool_folder)
    examples = {drawn.draw_example(index) for index in range(60)}
    assert examples == set(range(len(drawn.pool)))


def test_a_pair_has_its_photographs_label(pool_folder: Path) -> None:
    drawn = synthesis(pool_folder)
    labels = drawn.batch(range(12), SIZE).semantic_label.tolist()
    examples = [drawn.draw_example(index) for index in range(12)]
    assert labels == [drawn.pool[example].semantic_label for example in examples]
    assert len(set(labels)) > 1


# What a batch holds


@pytest.fixture(scope="module")
def batch(pool_folder: Path) -> Pair:
    return synthesis(pool_folder).batch(range(16), SIZE)


def test_a_batch_has_the_size_asked_for(batch: Pair) -> None:
    shapes = [tuple(tensor.shape[1:]) for tensor in batch[:6]]
    assert shapes == [(3, *SIZE), (3, *SIZE), (1, *SIZE)] * 2


def test_a_batch_lies_in_range(batch: Pair) -> None:
    for tensor in batch[:6]:
        assert tensor.dtype == torch.float32
        assert 0 <= tensor.min() <= tensor.max() <= 1


def test_outside_the_mask_the_composite_is_the_truth_exactly(batch: Pair) -> None:
    outside = (batch.mask == 0).expand(-1, 3, -1, -1)
    assert outside.any()
    assert torch.equal(batch.composite[outside], batch.real[outside])


def test_inside_the_mask_the_composite_differs(batch: Pair) -> None:
    inside = (batch.mask == 1).expand(-1, 3, -1, -1)
    difference = ((batch.composite - batch.real).abs() * inside).amax(dim=(1, 2, 3))
    assert difference.min() > 0.01


def test_the_crop_is_the_masks_box(batch: Pair) -> None:
    rims = [batch.foreground_mask[:, 0, index].amax(dim=1) for index in (0, -1)] + [
        batch.foreground_mask[:, 0, :, index].amax(dim=1) for index in (0, -1)
    ]
    assert min(rim.min() for rim in rims) > 0
    assert (
        batch.foreground_mask.mean(dim=(1, 2, 3)) > batch.mask.mean(dim=(1, 2, 3))
    ).all()


def test_the_crop_is_the_photograph_under_both_looks_blended(pool_folder: Path) -> None:
    drawn = synthesis(pool_folder)
    for index in range(6):
        example = drawn.draw_example(index)
        photo, mask = drawn.pool.pixels(example)
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        levels, weight = photo[box].transpose(2, 0, 1), mask[box] / np.float32(255)
        real, changed = (
            look.apply(levels).clip(0, 1) for look in drawn.draw_looks(index, example)
        )
        expected = weight * changed + (1 - weight) * real
        made = drawn.batch([index], weight.shape).foreground[0].numpy()  # as it is
        differences = [np.abs(made - e).max() for e in (expected, expected[..., ::-1])]
        assert min(differences) < 10 * ROUNDING  # mirrored or not


# Looks


def test_an_untouched_look_is_the_identity(pool_folder: Path) -> None:
    retouched = synthesis(pool_folder, changed=ONLY_FOREGROUND, families=ONLY_RETOUCH)
    for _, real, foreground in draw(retouched):
        assert is_untouched(real)
        assert not is_untouched(foreground)


def test_the_rest_alone_can_change(pool_folder: Path) -> None:
    for _, real, foreground in draw(synthesis(pool_folder, changed={"rest": 1.0})):
        assert not is_untouched(real)
        assert is_untouched(foreground)


def test_both_can_change(pool_folder: Path) -> None:
    retouched = synthesis(pool_folder, changed={"both": 1.0}, families=ONLY_RETOUCH)
    for _, real, foreground in draw(retouched):
        assert not is_untouched(real)
        assert not is_untouched(foreground)


def test_a_retouch_never_reverses_an_order_of_tones(pool_folder: Path) -> None:
    drawn = synthesis(
        pool_folder,
        changed={"both": 1.0},
        families=ONLY_RETOUCH,
        strengths={"large": (1.0, 2.0, 3.0)},
        difference=(0.0, 1.0),
        max_clipped=1.0,
    )
    tables = [look.table for _, *pair in draw(drawn, 100) for look in pair]
    assert np.diff(tables, axis=-1).min() > -ROUNDING


def test_looks_keep_to_the_settings_bounds(pool_folder: Path) -> None:
    # Judged on all pixels here, on a sample there, and some bounds cannot be met.
    drawn = synthesis(pool_folder)
    low, high = drawn.settings.difference
    within = []
    for example, real, foreground in draw(drawn, 100):
        own = object_pixels(drawn, example)
        pair = [look.apply(own).clip(0, 1) for look in (real, foreground)]
        difference = float(((pair[0] - pair[1]) ** 2).mean()) ** 0.5
        clipped = max(float(((p <= 0) | (p >= 1)).mean()) for p in pair)
        within.append(
            0.9 * low <= difference <= 1.1 * high
            and clipped <= 1.1 * drawn.settings.max_clipped
        )
    assert np.mean(within) > 0.9


def test_the_difference_is_kept_small_on_demand(pool_folder: Path) -> None:
    def mean_difference(bounds: tuple[float, float]) -> float:
        drawn = synthesis(pool_folder, difference=bounds)
        differences = []
        for example, *pair in draw(drawn):
            own = object_pixels(drawn, example)
            real, foreground = (look.apply(own) for look in pair)
            differences.append(np.abs(real - foreground).mean())
        return float(np.mean(differences))

    assert mean_difference((0.0, 0.05)) < 0.7 * mean_difference((0.1, 1.0))


def test_clipping_is_kept_small_on_demand(pool_folder: Path) -> None:
    def mean_clipped(limit: float) -> float:
        strengths = {"large": (1.0, 1.5, 2.4)}
        drawn = synthesis(pool_folder, max_clipped=limit, strengths=strengths)
        shares = []
        for example, *pair in draw(drawn):
            own = object_pixels(drawn, example)
            values = np.stack([look.apply(own) for look in pair])
            shares.append(((values <= 0) | (values >= 1)).mean())
        return float(np.mean(shares))

    assert mean_clipped(0.02) < 0.5 * mean_clipped(1.0)


MAKERS = {name: f"_{name}_look" for name in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_family_can_be_switched_off(
    pool_folder: Path, monkeypatch: pytest.MonkeyPatch, family: str, share: float
) -> None:
    made = []
    make = getattr(looks, MAKERS[family])

    def counted(*args: object) -> Look:
        made.append(family)
        look: Look = make(*args)
        return look

    monkeypatch.setattr(looks, MAKERS[family], counted)
    families = dict.fromkeys(FAMILIES, 1.0) | {family: share}
    draw(synthesis(pool_folder, changed=ONLY_FOREGROUND, families=families))
    assert bool(made) == bool(share)


@pytest.mark.parametrize("family", ["transfer", "histogram"])
def test_the_rest_is_only_ever_retouched(
    pool_folder: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    monkeypatch.delattr(looks, MAKERS[family])
    draw(synthesis(pool_folder, changed={"rest": 1.0}, families={family: 1.0}))


def test_colors_are_taken_from_objects_of_the_same_label(
    pool_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = synthesis(pool_folder, changed=ONLY_FOREGROUND, families={"transfer": 1.0})
    others: list[UInt8Array] = []
    transfer_look = looks._transfer_look

    def noted(own: UInt8Array, other: UInt8Array, strength: float) -> Look:
        others.append(other)
        return transfer_look(own, other, strength)

    monkeypatch.setattr(looks, "_transfer_look", noted)
    for index in range(20):
        example = drawn.draw_example(index)
        others.clear()
        drawn.draw_looks(index, example)
        label = drawn.pool[example].semantic_label
        peers = [i for i, peer in enumerate(drawn.pool) if peer.semantic_label == label]
        known = [looks._some_foreground(*drawn.pool.pixels(i)) for i in peers]
        for other in others:
            assert any(np.array_equal(other, each) for each in known)


def statistics(levels: FloatArray) -> FloatArray:
    return np.concatenate(lab_statistics(levels.T, np.ones(levels.shape[1])))


@pytest.mark.parametrize(("strength", "share_left"), [(1.0, 0.2), (0.5, 0.75)])
def test_a_transfer_moves_the_statistics_towards_the_others(
    pool_folder: Path, strength: float, share_left: float
) -> None:
    drawn = synthesis(pool_folder)
    own, other = (object_pixels(drawn, example) for example in (0, 3))
    look = looks._transfer_look(own, other, strength)
    goal = statistics(other / 255)
    before = np.abs(statistics(own / 255) - goal).sum()
    after = np.abs(statistics(look.apply(own).clip(0, 1)) - goal).sum()
    assert after < share_left * before


def test_a_histogram_look_gives_the_others_quantiles(pool_folder: Path) -> None:
    drawn = synthesis(pool_folder)
    own, other = (object_pixels(drawn, example) for example in (0, 3))
    moved = looks._histogram_look(own, other, 1.0).apply(own)
    ranks = np.linspace(0.1, 0.9, 9)
    for c in range(3):
        found, goal = np.quantile(moved[c], ranks), np.quantile(other[c] / 255, ranks)
        np.testing.assert_allclose(found, goal, rtol=0, atol=3 / 255)


def test_saturation_zero_gives_gray() -> None:
    colors = np.random.default_rng(0).integers(0, 256, (3, 50), dtype=np.uint8)
    gray = Look(UNTOUCHED, saturation=0.0).apply(colors)
    assert np.ptp(gray, axis=0).max() < ROUNDING


def test_toning_leaves_black_and_tints_white() -> None:
    toning = np.array([[0.1, 0.0, 0.0], [0.0, 0.0, 0.2]], np.float32)
    toned = Look(UNTOUCHED, toning=toning).apply(RAMP)
    assert toned[:, 0].tolist() == [0.0, 0.0, 0.0]
    assert toned[:, 255].tolist() == pytest.approx([1.0, 1.0, 1.2])


def test_a_look_does_not_depend_on_the_shape_of_a_picture(pool_folder: Path) -> None:
    drawn = synthesis(pool_folder, changed={"both": 1.0})
    levels = np.random.default_rng(1).integers(0, 256, (3, 6, 8), dtype=np.uint8)
    for _, *pair in draw(drawn, 20):
        for look in pair:
            flat = look.apply(levels.reshape(3, 48)).reshape(3, 6, 8)
            np.testing.assert_allclose(
                look.apply(levels), flat, rtol=0, atol=10 * ROUNDING
            )


# Wrong settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"families": {"sepia": 1.0}}, "families gives shares .* retouch, transfer"),
        ({"families": {"retouch": 0.0}}, "families gives shares above 0"),
        ({"changed": {"sky": 1.0}}, "changed gives shares .* foreground, rest, both"),
        ({"changed": {}}, r"changed gives shares .*, got \{\}"),
    ],
)
def test_wrong_look_settings_are_refused(
    settings: dict[str, dict[str, float]], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        LookSettings(**settings)  # type: ignore[arg-type]
