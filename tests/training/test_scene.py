"""The judge of the scene: what it must not depend on, and that it can learn."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imharmony.training.networks.scene import SceneJudge, fit_gaps, render_inner

B, G, N = 5, 4, 40


def judge() -> SceneJudge:
    torch.manual_seed(0)
    return SceneJudge(16, 4)


def seams(*, seed: int = 0, batch: int = B) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    seam = torch.rand(batch, G, N, 6, generator=generator)
    weight = (torch.rand(batch, G, N, generator=generator) < 0.8).float()
    weight[:, 0] = 1
    weight[:, :, N - 8 :] = 0
    return seam * (weight[..., None] > 0), weight


def test_the_order_of_the_crossings_says_nothing() -> None:
    seam, weight = seams()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        first = judge()(seam, weight)
        second = judge()(seam[:, :, order], weight[:, :, order])
    torch.testing.assert_close(first, second, rtol=0, atol=1e-4)


def test_what_is_absent_says_nothing() -> None:
    seam, weight = seams()
    shorter = seam[:, :, : N - 8], weight[:, :, : N - 8]
    with torch.inference_mode():
        first, second = judge()(seam, weight), judge()(*shorter)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-4)


def test_seams_of_a_batch_are_judged_by_themselves() -> None:
    seam, weight = seams()
    with torch.inference_mode():
        together = judge()(seam, weight)
        alone = torch.cat(
            [judge()(seam[k : k + 1], weight[k : k + 1]) for k in range(B)]
        )
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-4)


def test_inner_sides_are_mapped_by_their_own_curve() -> None:
    seam, weight = seams()
    fits = fit_gaps(seam, weight, num_pieces=64)
    assert fits.shape == (B, G, 3, 65)
    fitted = render_inner(seam, fits[:, 0])
    assert torch.equal(fitted[..., 3:], seam[..., 3:])
    knots = np.arange(65) / 64
    for channel in range(3):
        expected = np.interp(seam[2, 3, :, channel], knots, fits[2, 0, channel])
        np.testing.assert_allclose(fitted[2, 3, :, channel], expected, atol=1e-5)


def test_it_learns_whether_both_sides_go_together() -> None:
    """Sides with one texture under two looks, against sides that have two."""
    rng = np.random.default_rng(0)

    def draw(batch: int) -> tuple[Tensor, Tensor]:
        texture = rng.random((batch, 1, N, 3))
        other = rng.random((batch, 1, N, 3))
        is_same = rng.random(batch) < 0.5
        outer = np.where(is_same[:, None, None, None], texture, other)
        gain = rng.uniform(0.5, 1.0, (batch, 1, 1, 3))
        sides = np.concatenate([gain * texture, outer], axis=3) + rng.normal(
            0, 0.02, (batch, 1, N, 6)
        )
        seam = torch.from_numpy(sides.clip(0, 1).astype(np.float32))
        return seam.expand(-1, G, -1, -1), torch.from_numpy(is_same)

    network = judge()
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    for _ in range(40):
        seam, is_same = draw(64)
        logits = network(seam, torch.ones(seam.shape[:3]))
        loss = F.binary_cross_entropy_with_logits(logits, is_same.float())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
    seam, is_same = draw(400)
    with torch.inference_mode():
        logits = network(seam, torch.ones(seam.shape[:3]))
    assert ((logits > 0) == is_same).float().mean() > 0.95
