"""Swatches: pairs of which only colors are drawn, and the network's way with them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from imharmony.errors import UsageError, WeightsError
from imharmony.inference.crossings import GAPS
from imharmony.training.checkpoints import load_base, save_checkpoint
from imharmony.training.data.look_settings import LookSettings
from imharmony.training.data.looks import LEVELS, UNTOUCHED, Look
from imharmony.training.data.pairs import Pair, SeamSamples, mask_limits
from imharmony.training.data.pool import read_pool
from imharmony.training.data.seam import SeamSettings
from imharmony.training.data.swatches import SHOWN_AGAIN, draw_swatch, gather
from imharmony.training.data.synthesis import Synthesis
from imharmony.training.networks.s2crnet import build_s2crnet
from imharmony.training.networks.seam import Swatches, build_seam_net

SIZE = (32, 32)


def synthesis(folder: Path, **changes: Any) -> Synthesis:
    settings = SeamSettings(num_pairs=16, **changes)
    pool = read_pool(folder, split="train")
    return Synthesis(pool, LookSettings(), seed=0, seam=settings)


def test_a_swatch_shows_each_regions_color_under_its_look() -> None:
    photo = np.full((90, 120, 3), (51, 102, 204), np.uint8)
    mask = np.zeros((90, 120), np.uint8)
    mask[20:70, 30:90] = 255
    box = mask_limits(mask)
    darker = Look(np.tile((0.5 * LEVELS).astype(np.float32), (3, 1)))
    brighter = Look(np.tile((0.1 + 0.9 * LEVELS).astype(np.float32), (3, 1)))
    swatch = draw_swatch(
        np.random.default_rng(0),
        gather(photo, mask, box, (1,)),
        (brighter, darker),
        SeamSamples.none(8),
    )
    assert swatch.composite.shape == swatch.around.shape == (3, 16, 16)
    color = np.array([0.2, 0.4, 0.8])[:, None]
    inside, outside = swatch.mask[0] == 1, swatch.around_mask[0] == 1
    assert inside.all()  # the mask's box is all object
    assert 0.5 < outside.mean() < 1
    np.testing.assert_allclose(
        swatch.composite[:, inside], 0.5 * color + 0 * inside[inside], atol=1e-6
    )
    np.testing.assert_allclose(
        swatch.real[:, inside], 0.1 + 0.9 * color + 0 * inside[inside], atol=1e-6
    )
    np.testing.assert_allclose(
        swatch.around[:, outside], 0.1 + 0.9 * color + 0 * outside[outside], atol=1e-6
    )


def test_wider_scales_look_further_from_the_same_edge(pool_folder: Path) -> None:
    photo, mask = read_pool(pool_folder, split="train").pixels(0)
    near, far = gather(photo, mask, mask_limits(mask), (1, 3)).crossings
    np.testing.assert_array_equal(near.outer[0], far.outer[0])
    apart = np.abs(far.outer - far.inner).sum(axis=2)  # (G, M)
    # Of a soft edge the first gap is wider than 1; the others add to both sides.
    assert (np.diff(apart, axis=0) == [[4], [6], [12]]).all()


def test_an_untouched_swatch_is_its_own_truth(pool_folder: Path) -> None:
    photo, mask = read_pool(pool_folder, split="train").pixels(0)
    box = mask_limits(mask)
    material = gather(photo, mask, box, (1,))
    swatch = draw_swatch(
        np.random.default_rng(0),
        material,
        (UNTOUCHED, UNTOUCHED),
        SeamSamples.none(8),
    )
    np.testing.assert_array_equal(swatch.composite, swatch.real)


def test_a_batch_holds_swatches_of_its_own_beside_the_pairs(pool_folder: Path) -> None:
    without = synthesis(pool_folder).batch([3, 4], SIZE)
    batch = synthesis(pool_folder, swatches=3).batch([3, 4], SIZE)
    assert batch.swatch.shape == batch.around.shape == (6, 3, 16, 16)
    assert batch.swatch_seam.shape == (6, GAPS, 16, 6)
    assert all((a == b).all() for a, b in zip(batch[:9], without[:9], strict=True))
    assert without.swatch.numel() == 0
    assert len({float(x.sum()) for x in batch.swatch}) == 6


def test_a_batch_depends_on_its_indices_alone(pool_folder: Path) -> None:
    changes = {"swatches": 4, "shown": 2}
    one, other = (synthesis(pool_folder, **changes) for _ in range(2))
    for index in range(5):
        one.batch([index, SHOWN_AGAIN + index], SIZE)
    late = SHOWN_AGAIN + 2
    pairs = zip(one.batch([late], SIZE), other.batch([late], SIZE), strict=True)
    assert all((a == b).all() for a, b in pairs)


def swatches_of(pair: Pair) -> set[bytes]:
    return {part.numpy().tobytes() for part in pair.swatch}


def test_swatches_are_shown_so_many_times(pool_folder: Path) -> None:
    made = synthesis(pool_folder, swatches=4, shown=2)
    first, second, third = (
        swatches_of(made.batch([index], SIZE))
        for index in (SHOWN_AGAIN, 2 * SHOWN_AGAIN, 3 * SHOWN_AGAIN)
    )
    assert [len(x) for x in (first, second, third)] == [4, 4, 4]
    assert len(first & second) == len(second & third) == 2
    assert not first & second & third


def test_few_swatches_are_kept(pool_folder: Path) -> None:
    made = synthesis(pool_folder, swatches=1)
    for start in range(0, SHOWN_AGAIN + 32, 16):
        made.batch(range(start, start + 16), (17, 17))
    assert len(made._swatches) <= SHOWN_AGAIN


def test_shown_has_to_divide_swatches() -> None:
    with pytest.raises(UsageError, match="shown divides swatches, 4; got 3"):
        SeamSettings(num_pairs=8, swatches=4, shown=3)


def test_the_network_sees_in_a_swatch_what_it_sees_in_thumbnails() -> None:
    torch.manual_seed(0)
    network = build_seam_net("s2crnet-seam").eval()
    composite, foreground = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    mask, own = torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32)
    seam, weight = torch.rand(2, 4, 24, 6), torch.ones(2, 4, 24)
    labels = torch.zeros(2, 5)
    given = (composite, mask, foreground, own, labels, seam, weight)
    some = (..., slice(None, None, 4), slice(None, None, 4))
    swatches = Swatches(
        foreground[some], own[some], composite[some], 1 - mask[some], seam, weight
    )
    with torch.inference_mode():
        whole = network(*given)
        apart = network(*given[:5], seam.flip(0), weight, swatches=swatches)
    torch.testing.assert_close(apart.seamed, whole.seamed)
    torch.testing.assert_close(apart.seamed_doubt, whole.seamed_doubt)
    torch.testing.assert_close(apart.plain, whole.plain)


def test_all_but_the_seams_cascade_is_taken_from_a_network_of_its_kind(
    tmp_path: Path,
) -> None:
    torch.manual_seed(1)
    stored, network = (build_seam_net("s2crnet-seam") for _ in range(2))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    path = tmp_path / "stored.safetensors"
    save_checkpoint(path, stored, variant="s2crnet-seam", thumbnail_size=(64, 64))
    load_base(network, path)
    own = ("seamed", "seam_statistics", "pairs", "wide")
    for key, value in network.state_dict().items():
        source = (
            before
            if key.split(".")[0] in {*own, "seamed_doubt"}
            else stored.state_dict()
        )
        assert torch.equal(value, source[key]), key


def test_the_base_alone_is_taken_from_a_network_without_a_seam(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = build_seam_net("s2crnet-seam")
    path = tmp_path / "base.safetensors"
    save_checkpoint(path, network.base, variant="s2crnet-cs", thumbnail_size=(64, 64))
    torch.manual_seed(2)
    other = build_seam_net("s2crnet-seam")
    load_base(other, path)
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            other.base.state_dict().values(),
            network.base.state_dict().values(),
            strict=True,
        )
    )


def test_another_network_is_no_base(tmp_path: Path) -> None:
    other = build_s2crnet("s2crnet")
    path = tmp_path / "other.safetensors"
    save_checkpoint(path, other, variant="s2crnet", thumbnail_size=(64, 64))
    with pytest.raises(WeightsError, match="weights for another network"):
        load_base(build_seam_net("s2crnet-seam"), path)
