"""Methods to score: the composite, baselines, a model, other programs' pictures."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from imharmony.datasets.iharmony4 import PairFiles
from imharmony.errors import ImageError, UsageError
from imharmony.evaluation.methods.baselines import (
    ceiling,
    match_histograms,
    reinhard,
)
from imharmony.evaluation.methods.cloning import clone_seamlessly
from imharmony.evaluation.methods.seam_fit import fit_across_seam
from imharmony.evaluation.protocols.metrics import (
    FloatArray,
    Recoloring,
    scene_composite,
)
from imharmony.evaluation.protocols.protocol import Protocol
from imharmony.evaluation.protocols.scene import Scene, load_picture
from imharmony.harmonizer import Harmonizer
from imharmony.images import photo
from imharmony.images.masks import mask_box, mask_from_array
from imharmony.inference.choices import SeamUse
from imharmony.inference.models import find_weights
from imharmony.inference.seam import Seam, sample_seam
from imharmony.rendering.transform import Transform

__all__ = [
    "BASELINES",
    "CEILING",
    "COMPOSITE",
    "MODEL",
    "ROWS",
    "Method",
    "choose_rows",
    "collect_methods",
    "model_method",
    "results_method",
]

Method = Callable[[PairFiles, Scene, Protocol], Recoloring]
"""Takes a pair, its scene as the protocol prepared it, and the protocol."""

COMPOSITE, MODEL, CEILING = "composite", "model", "ceiling"
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")


def _make_method(recolor: Callable[[Scene], Recoloring]) -> Method:
    return lambda _, scene, __: recolor(scene)


BASELINES: dict[str, Method] = {
    COMPOSITE: _make_method(scene_composite),
    "reinhard": _make_method(reinhard),
    "histogram": _make_method(match_histograms),
    "seamless": _make_method(clone_seamlessly),
    "seam fit": _make_method(fit_across_seam),
    CEILING: _make_method(ceiling),
}
"""Methods that need no training, and the ceiling, which needs the real photo."""

ROWS = (COMPOSITE, "reinhard", "histogram", "seamless", "seam fit", MODEL, CEILING)
"""Names of all rows in the order of the tables; the model's row bears its name."""


def choose_rows(names: str | None) -> list[str]:
    """Choose rows by their names with commas between; the composite is always there.

    Parameters
    ----------
    names : str or None
        None takes all, seamless cloning only where OpenCV is installed.

    Raises
    ------
    UsageError
        If there is no such row.

    Examples
    --------
    >>> choose_rows("model,reinhard")
    ['composite', 'reinhard', 'model']
    """
    if names is None:
        has_opencv = importlib.util.find_spec("cv2") is not None
        return [row for row in ROWS if row != "seamless" or has_opencv]
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in ROWS:
            msg = f"row is one of {', '.join(ROWS)}, got {name!r}"
            raise UsageError(msg)
    return [row for row in ROWS if row in wanted or row == COMPOSITE]


def collect_methods(
    rows: Sequence[str],
    pairs: Sequence[PairFiles],
    *,
    models: Sequence[str] = (),
    weights: Sequence[Path] = (),
    results: Sequence[Path] = (),
) -> dict[str, Method]:
    """Put the rows together: baselines, models by name, weights and folders by theirs.

    Parameters
    ----------
    rows : sequence of str
        As `choose_rows` gives them.
    pairs : sequence of PairFiles
        What will be scored.
    models : sequence of str
        Names of models, one row each where the rows hold the model's.
    weights : sequence of Path
        Weights files, likewise; a row is called like its file.
    results : sequence of Path
        Folders as `results_method` takes them.

    Raises
    ------
    UsageError
        If two rows would have the same name, or a folder cannot be used.
    """
    entries: list[tuple[str, Method]] = []
    for row in (row for row in rows if row != CEILING):
        if row == MODEL:
            # One thread: the images are what is worked on side by side.
            sources = [(model, find_weights(model)) for model in models]
            for name, source in [*sources, *((file.stem, file) for file in weights)]:
                harmonizer = Harmonizer(weights=source, num_threads=1)
                entries += _list_model_methods(name, harmonizer)
        else:
            entries.append((row, BASELINES[row]))
    entries += [
        (folder.resolve().name, results_method(folder, pairs)) for folder in results
    ]
    if CEILING in rows:
        entries.append((CEILING, BASELINES[CEILING]))
    methods = dict(entries)
    if len(methods) < len(entries):
        names = [name for name, _ in entries]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"two rows would be called {twice!r}; rename the folder or the weights"
        raise UsageError(msg)
    return methods


Surroundings = Literal["same scene", "paste", "no seam"]
"""What faces the foreground: what the pair shows; pixels from elsewhere along the edge,
which say nothing, as where the foreground was pasted; or nothing."""


def _list_model_methods(name: str, harmonizer: Harmonizer) -> list[tuple[str, Method]]:
    """Score a model that looks at the seam three ways, others as they are."""
    rows = [(name, model_method(harmonizer))]
    if harmonizer.contract.seam_pairs:
        surroundings: tuple[Surroundings, ...] = ("paste", "no seam")
        rows += [
            (f"{name}, {way}", model_method(harmonizer, surroundings=way))
            for way in surroundings
        ]
    return rows


def model_method(
    harmonizer: Harmonizer, *, surroundings: Surroundings = "same scene"
) -> Method:
    """Score a model; it sees the pictures that the protocol prepared."""

    def recolor(_: PairFiles, scene: Scene, __: Protocol) -> Recoloring:
        mask = np.rint(scene.mask).astype(np.uint8)
        image = photo.from_array(scene.composite)
        mask_image = mask_from_array(mask, size=scene.size)
        seam: SeamUse | Seam = "auto"
        box = mask_box(mask_image)
        if surroundings == "paste" and box is not None:
            num_pairs = harmonizer.contract.seam_pairs
            sampled = sample_seam(image, mask_image, box, num_pairs=num_pairs)
            seam = sampled.displaced()
        elif surroundings == "no seam":
            seam = Seam.none(harmonizer.contract.seam_pairs)
        predicted = harmonizer.predict(image, mask_image, seam=seam)
        # Not rounded: that is the protocol's to do.
        return _recolor_by_transform(scene, predicted.transform)

    return recolor


def _recolor_by_transform(scene: Scene, transform: Transform) -> Recoloring:
    """Blend what a transform makes of the composite over it by the mask."""

    def recolor(tile: photo.Box) -> FloatArray:
        composite = tile.view(scene.composite)
        changed = transform.map_levels(composite, tile)
        weight = (tile.view(scene.mask) / 255.0)[..., None]
        return weight * changed + (1 - weight) * composite

    return recolor


def results_method(folder: Path, pairs: Sequence[PairFiles]) -> Method:
    """Score another program's pictures.

    Parameters
    ----------
    folder : Path
        Holds, for every composite, a picture of the same name, whatever the extension,
        here or in a folder named like the sub-set.
    pairs : sequence of PairFiles
        What there must be a picture for.

    Raises
    ------
    UsageError
        If there is no such folder, or it lacks pictures.
    """
    picture_by_name: dict[tuple[str | None, str], Path] = {}
    subsets = {pair.subset for pair in pairs}
    for path in sorted(folder.glob("*")) + sorted(folder.glob("*/*")):
        if path.suffix.lower() in PICTURE_SUFFIXES:
            subset = None if path.parent == folder else path.parent.name
            if subset is None or subset in subsets:
                picture_by_name.setdefault((subset, path.stem), path)
    chosen: dict[PairFiles, Path] = {}
    missing = []
    for pair in pairs:
        match = picture_by_name.get((pair.subset, pair.name)) or picture_by_name.get(
            (None, pair.name)
        )
        if match is None:
            missing.append(pair.name)
        else:
            chosen[pair] = match
    if missing:
        msg = (
            f"{folder}: expected a picture for each of {len(pairs)} composites, "
            f"{len(missing)} are missing, such as {missing[0]}.png"
        )
        raise UsageError(msg)

    def recolor(pair: PairFiles, scene: Scene, protocol: Protocol) -> Recoloring:
        path = chosen[pair]
        picture = protocol.resample(load_picture(path))
        if picture.shape != scene.composite.shape:
            expected = "x".join(map(str, scene.size))
            msg = (
                f"{path}: expected {expected} pixels (height x width), the "
                f"composite's size, got {picture.shape[0]}x{picture.shape[1]}"
            )
            raise ImageError(msg)
        return lambda tile: tile.view(picture).astype(np.float64)

    return recolor
