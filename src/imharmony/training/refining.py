"""Pairs for a refining network: another network's curves are applied to them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from imharmony.errors import UsageError
from imharmony.inference.choices import AUTO
from imharmony.training.checkpoints import load_checkpoint
from imharmony.training.data.pairs import Pair
from imharmony.training.data.synthesis import Synthesis
from imharmony.training.networks.heights import render_heights
from imharmony.training.networks.seam import SeamNet
from imharmony.training.networks.seam_use import combine

__all__ = ["BUNDLED", "RefinedPairs", "apply_curves", "load_curves"]

BUNDLED = Path(__file__).parents[1] / "weights" / "s2crnet-cs.safetensors"


class RefinedPairs:
    """Synthesized pairs whose composite is what curves made of it.

    Parameters
    ----------
    source : Synthesis
        With seams.
    network : SeamNet
        Predicts the curves; held back as in use.
    size : tuple of int
        Height and width of the thumbnails it wants.
    left_out : float
        Share of pairs that stay as they are: as where the curves are held back.
    ignored : float
        Share of pairs whose seam is not gone by: the scene is unknown.
    """

    def __init__(
        self,
        source: Synthesis,
        network: SeamNet,
        size: tuple[int, int],
        *,
        left_out: float = 0.0,
        ignored: float = 0.0,
    ) -> None:
        self._source, self._network, self._size = source, network.eval(), size
        self._left_out, self._ignored = left_out, ignored

    def batch(self, indices: Sequence[int], size: tuple[int, int]) -> Pair:
        """Make the pairs of the given indices as thumbnails (height, width)."""
        pair = self._source.batch(indices, size)
        draws = [
            np.random.default_rng([self._source.seed, index, 10]).random(2)
            for index in indices
        ]
        left_out, ignored = torch.tensor(np.array(draws, np.float32)).unbind(dim=1)
        known = (ignored >= self._ignored).float()
        pair = pair._replace(seam_weight=pair.seam_weight * known[:, None, None])
        curved = apply_curves(self._network, self._size, pair)
        stays = (left_out < self._left_out)[:, None, None, None]
        return curved._replace(
            composite=torch.where(stays, pair.composite, curved.composite),
            seam=torch.where(stays, pair.seam, curved.seam),
        )


def apply_curves(network: SeamNet, size: tuple[int, int], pair: Pair) -> Pair:
    """Put the curves that a network predicts on the foregrounds of a batch.

    Returns
    -------
    Pair
        With the pictures, blended by the mask, the inner sides of the seams, and the
        probability of a same scene that came of it.
    """
    small = [
        _shrink(x, size)
        for x in (pair.composite, pair.mask, pair.foreground, pair.foreground_mask)
    ]
    B = len(pair.composite)
    labels = torch.zeros(B, network.dimensions.num_labels)
    with torch.no_grad():
        prediction = network(*small, labels, pair.seam, pair.seam_weight)
        used = combine(
            prediction,
            small[2],
            small[3],
            pair.seam_weight,
            torch.full((B,), AUTO),
            network.dimensions,
        )
        heights = used.curve_params[:, 0]
        image = render_heights(pair.composite.flatten(2), heights)
        image = image.reshape(pair.composite.shape)
        picture = pair.composite + pair.mask * (image - pair.composite)
        seam = pair.seam.clone()
        inner = seam[..., :3].flatten(1, 2).transpose(1, 2)  # (B, 3, G N)
        inner = render_heights(inner, heights).transpose(1, 2)
        seam[..., :3] = inner.reshape(seam[..., :3].shape)
    return pair._replace(composite=picture, seam=seam, same_scene=used.probability)


def _shrink(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """Shrink (B, C, h, w) to a size (height, width)."""
    h, w = pictures.shape[2:]
    if h % size[0] or w % size[1]:
        return F.interpolate(pictures, size, mode="bilinear", antialias=True)
    return F.avg_pool2d(pictures, (h // size[0], w // size[1]))


def load_curves(source: str) -> tuple[SeamNet, tuple[int, int]]:
    """Load the network whose curves are refined, and the size of its thumbnails.

    Parameters
    ----------
    source : str
        A checkpoint, or "s2crnet-cs" for the bundled one.

    Raises
    ------
    UsageError
        If it is of another kind.
    WeightsError
        If it cannot be read.
    """
    path = BUNDLED if source == "s2crnet-cs" else Path(source)
    if path == BUNDLED and not path.is_file():  # wheels hold what is used alone
        msg = f"{path}: comes with the repository, not with the installed package"
        raise UsageError(f"{msg}; set refines to a copy of it")
    network, variant, size = load_checkpoint(path)
    if not isinstance(network, SeamNet):
        msg = f"{path}: expected a checkpoint of a network that looks at the seam"
        raise UsageError(f"{msg}, got one of {variant}")
    return network, size
