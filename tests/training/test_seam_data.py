"""Seams of training pairs, and edges made as cut-and-paste makes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imharmony.errors import UsageError
from imharmony.inference.crossings import GAPS, Crossings, find_crossings
from imharmony.training.data.look_settings import LookSettings
from imharmony.training.data.looks import LEVELS, UNTOUCHED, Look
from imharmony.training.data.pairs import SeamSamples, mask_limits
from imharmony.training.data.pastes import draw_edge
from imharmony.training.data.pool import read_pool
from imharmony.training.data.seam import (
    SeamSettings,
    draw_seam,
    exact,
    sample_seam,
)
from imharmony.training.data.synthesis import Synthesis

SIZE = (32, 32)
# Colors are rounded to 8 bit before looks are applied.
ROUNDING = 0.51 / 255


def scene() -> tuple[Any, Any]:
    """A photograph of waves, (120, 160, 3), and a disc in it."""
    y, x = np.mgrid[:120, :160]
    waves = [np.sin(x / (9 + c) + y / (14 - c)) for c in range(3)]
    photo = np.rint(255 * (0.5 + 0.4 * np.stack(waves, axis=-1))).astype(np.uint8)
    depth = 35 - np.hypot(y - 60, x - 80)
    return photo, np.where(depth > 0, 255, 0).astype(np.uint8)


def crossings() -> Crossings:
    _, mask = scene()
    rows, columns = mask_limits(mask)
    corners = (
        rows.start,
        columns.start,
        rows.stop - rows.start,
        columns.stop - columns.start,
    )
    return find_crossings(mask, corners, gaps=(1, 1, 2, 6))


def draw(
    settings: SeamSettings, looks: tuple[Look, Look], *, seed: int = 0
) -> SeamSamples:
    photo, mask = scene()
    rng = np.random.default_rng(seed)
    return draw_seam(rng, photo, crossings(), looks, mask_limits(mask), settings)


def darker() -> Look:
    return Look(np.tile((0.5 * LEVELS).astype(np.float32), (3, 1)))


def plain(**changes: Any) -> SeamSettings:
    return exact(SeamSettings(num_pairs=64, **changes))


def test_an_untouched_pair_shows_the_photos_own_colors() -> None:
    photo, mask = scene()
    seam = draw(plain(), (UNTOUCHED, UNTOUCHED))
    own = sample_seam(photo, mask, 10_000)
    drawn = {tuple(np.rint(255 * row)) for row in seam.colors[0]}
    assert drawn <= {tuple(np.rint(255 * row)) for row in own.colors[0]}
    assert seam.weight[0].all()


def test_the_foregrounds_look_is_on_the_inner_side_alone() -> None:
    before = draw(plain(), (UNTOUCHED, UNTOUCHED))
    after = draw(plain(), (UNTOUCHED, darker()))
    inner, outer = np.split(after.colors, 2, axis=2)
    np.testing.assert_allclose(inner, 0.5 * before.colors[..., :3], atol=ROUNDING)
    np.testing.assert_allclose(outer, before.colors[..., 3:], atol=ROUNDING)


def test_the_rests_look_is_on_the_outer_side_alone() -> None:
    before = draw(plain(), (UNTOUCHED, UNTOUCHED))
    after = draw(plain(), (darker(), UNTOUCHED))
    inner, outer = np.split(after.colors, 2, axis=2)
    np.testing.assert_allclose(inner, before.colors[..., :3], atol=ROUNDING)
    np.testing.assert_allclose(outer, 0.5 * before.colors[..., 3:], atol=ROUNDING)


def test_nearer_pixels_are_more_alike() -> None:
    settings = SeamSettings(
        num_pairs=64, nearer=1.0, nearest=0.1, displaced=(1.0,), noise=0.0, blended=0.0
    )
    apart = [
        np.mean(
            [
                np.abs(seam.colors[0, :, :3] - seam.colors[0, :, 3:]).mean()
                for seam in (draw(s, (UNTOUCHED, UNTOUCHED), seed=k) for k in range(20))
            ]
        )
        for s in (settings, plain())
    ]
    assert apart[0] < 0.75 * apart[1]


def test_blended_looks_meet_at_the_edge_and_differ_further_out() -> None:
    settings = SeamSettings(
        num_pairs=64,
        nearer=0.0,
        displaced=(1.0,),
        noise=0.0,
        blended=1.0,
        blend_px=8.0,
        offset_px=0.0,
    )
    ratios = []
    for seed in range(20):
        seam = draw(settings, (UNTOUCHED, darker()), seed=seed)
        own = draw(settings, (UNTOUCHED, UNTOUCHED), seed=seed)
        ratios.append(
            [
                (seam.colors[g, :, :3].sum() / own.colors[g, :, :3].sum())
                for g in (0, GAPS - 1)
            ]
        )
    near, far = np.mean(ratios, axis=0)
    assert 0.5 <= far < near < 0.8


def test_noise_and_displacement_change_samples() -> None:
    settings = SeamSettings(num_pairs=64, nearer=0.0, blended=0.0)
    seam = draw(settings, (UNTOUCHED, UNTOUCHED), seed=3)
    assert not np.array_equal(seam.colors, draw(plain(), (UNTOUCHED,) * 2).colors)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nearer": 1.5}, "shares from 0 to 1"),
        ({"displaced": (0.5, 0.5)}, "an odd number"),
        ({"edges": 3}, "edges even"),
        ({"num_pairs": -1}, "at least 0"),
    ],
)
def test_impossible_settings_are_refused(changes: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SeamSettings(**changes)


def correlation(samples: SeamSamples, gap: int) -> float:
    used = samples.weight[gap] > 0
    colors = samples.colors[gap, used]
    rows = [np.corrcoef(colors[:, c], colors[:, c + 3])[0, 1] for c in range(3)]
    return float(np.nanmean(rows))


def test_pastes_agree_less_across_the_edge() -> None:
    photo, mask = scene()
    other = np.random.default_rng(1).integers(0, 256, (90, 200, 3), dtype=np.uint8)
    other = other.repeat(4, axis=0).repeat(4, axis=1)[:130, :170]
    found = {}
    for name, ground in (("same", None), ("paste", other)):
        found[name] = [
            correlation(draw_edge(np.random.default_rng(k), photo, mask, ground, 96), 2)
            for k in range(12)
        ]
    assert np.median(found["same"]) > np.median(found["paste"]) + 0.3


def test_batches_hold_seams_and_edges(pool_folder: Path) -> None:
    settings = SeamSettings(num_pairs=16, edges=2)
    pool = read_pool(pool_folder, split="train")
    synthesis = Synthesis(pool, LookSettings(), seed=0, seam=settings)
    pair = synthesis.batch([3, 4, 5], SIZE)
    assert pair.seam.shape == (3, GAPS, 16, 6)
    assert pair.edge.shape == (2, GAPS, 16, 6)
    assert pair.is_same_scene.tolist() == [1.0, 0.0]
    again = synthesis.batch([3, 4, 5], SIZE)
    assert all((a == b).all() for a, b in zip(pair, again, strict=True))


def test_a_seam_changes_no_thumbnail(pool_folder: Path) -> None:
    pool = read_pool(pool_folder, split="train")
    with_seam, without = (
        Synthesis(pool, LookSettings(), seed=0, seam=seam).batch([1], SIZE)
        for seam in (SeamSettings(num_pairs=16), None)
    )
    assert all((a == b).all() for a, b in zip(with_seam[:7], without[:7], strict=True))
    assert without.seam.numel() == 0


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_gaps_of_larger_photographs_are_drawn_where_asked(
    share: float, pool_folder: Path
) -> None:
    """On a ramp across, facing pixels are as far apart in color as in place."""
    pool = read_pool(pool_folder, split="train")
    settings = SeamSettings(
        num_pairs=16,
        nearer=0.0,
        displaced=(1.0,),
        noise=0.0,
        blended=0.0,
        scales=(3,),
        scaled=share,
    )
    looks = LookSettings(changed={"nothing": 1.0})
    synthesis = Synthesis(pool, looks, seed=0, seam=settings)
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 48, axis=0)
    photo, mask = np.repeat(ramp, 3, axis=2), np.zeros((48, 64), np.uint8)
    mask[18:30, 24:40] = 255
    synthesis.draw_pixels = lambda *_: (photo, mask)  # type: ignore[method-assign]
    pair = synthesis.batch([0], SIZE)
    apart = 255 * (pair.seam[0, ..., 3] - pair.seam[0, ..., 0]).abs()  # (G, N)
    is_beside = (apart[0] > 0.5) & (pair.seam_weight[0].min(dim=0).values > 0)
    found = [set(apart[gap, is_beside].round().tolist()) for gap in range(GAPS)]
    # The gth pixels inside and outside are 2g - 1 apart.
    assert found == ([{1}, {5}, {11}, {23}] if share else [{1}] * GAPS)


def test_some_edges_are_cut_by_the_very_mask_that_is_given() -> None:
    """A uniform object on a uniform ground: where nothing is mixed, the cut is hard."""
    y, x = np.mgrid[:80, :80] - 39.5
    mask = np.where(np.hypot(y, x) < 25, 255, 0).astype(np.uint8)
    own, ground = (np.full((80, 80, 3), level, np.uint8) for level in (200, 40))
    hard = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        seam = draw_edge(rng, own, mask, ground, 32)
        colors = seam.colors[0, seam.weight[0] > 0]  # (n, 6)
        is_uniform = (np.ptp(colors, axis=0) < 1e-6).all()
        hard += bool(is_uniform and (colors[0, :3] != colors[0, 3:]).all())
    # Two fifths are exact, half of them hard, three tenths of these not stored as JPEG.
    assert 3 <= hard <= 25
