"""Folders of composites: find the jobs, the mask of each, and the names of outputs."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import Formatter

from imharmony.batch.jobs import NO_JOB, Job
from imharmony.errors import UsageError
from imharmony.images.formats import SUFFIXES

__all__ = ["SAME_NAME", "Naming", "find_jobs", "find_pictures"]

MASK_ENDING = "_mask"
"""What follows a photo's name in the name of the mask that lies beside it."""

_FIELDS = ("stem", "suffix", "parent")


@dataclass(frozen=True)
class Naming:
    """How output files are named.

    Examples
    --------
    >>> naming = Naming("{stem}-harmonized.jpg")
    >>> naming.target(Path("in/chair.png"), Path("out"), Path())
    PosixPath('out/chair-harmonized.jpg')
    """

    pattern: str = "{stem}{suffix}"
    """May use {stem}, {suffix} (with its dot), and {parent}, the folder's name."""

    def __post_init__(self) -> None:
        known = ", ".join(f"{{{name}}}" for name in _FIELDS)
        try:
            fields = [name for _, name, _, _ in Formatter().parse(self.pattern) if name]
        except ValueError as error:
            raise UsageError(f"name {self.pattern!r}: {error}") from error
        unknown = [name for name in fields if name not in _FIELDS]
        if unknown:
            msg = f"name {self.pattern!r}: expected fields of {known}"
            raise UsageError(f"{msg}, got {{{unknown[0]}}}")
        if "stem" not in fields:
            msg = f"name {self.pattern!r}: expected {{stem}} in it"
            raise UsageError(f"{msg}, or all outputs would have one name")

    def target(self, composite: Path, folder: Path, below: Path) -> Path:
        """Name the output of a composite.

        Parameters
        ----------
        composite : Path
            The input.
        folder : Path
            Of all outputs.
        below : Path
            Folder of the composite, as seen from the folder that was searched.
        """
        name = self.pattern.format(
            stem=composite.stem,
            suffix=composite.suffix,
            parent=composite.parent.name,
        )
        return folder / below / name


SAME_NAME = Naming()


def find_pictures(folder: Path, *, recursive: bool) -> list[Path]:
    """List the pictures in a folder, in the order of their names.

    Raises
    ------
    UsageError
        If the folder cannot be read.
    """
    pictures: list[Path] = []
    try:
        for path in folder.rglob("*") if recursive else folder.iterdir():
            is_picture = path.suffix.lower() in SUFFIXES and path.is_file()
            if is_picture and not path.name.startswith("."):
                pictures.append(path)
    except OSError as error:
        msg = f"{folder}: cannot be read ({error.strerror or error})"
        raise UsageError(msg) from error
    return sorted(pictures)


def find_jobs(
    inputs: Sequence[Path],
    output: Path,
    *,
    masks: Path | None = None,
    recursive: bool = False,
    naming: Naming = SAME_NAME,
    common: Job = NO_JOB,
) -> list[Job]:
    """Make jobs of files and folders.

    Parameters
    ----------
    inputs : sequence of Path
        Composites, and folders of them.
    output : Path
        Folder for the results. Where it lies in an input folder, it is not searched.
    masks : Path or None
        Folder of masks, found by the composites' names, whatever their extensions;
        with `recursive` in the same folders below. None takes `chair_mask.png` beside
        `chair.jpg`, or else the composite's alpha.
    recursive : bool
        Whether folders in folders are searched, too.
    naming : Naming
        Of the outputs.
    common : Job
        What all jobs have in common.

    Returns
    -------
    list of Job
        A composite whose mask is missing, or whose output would overwrite an input
        or another's output, becomes a job that has failed.

    Raises
    ------
    UsageError
        If an input does not exist, a folder cannot be read, or no picture is found.
    """
    if masks is not None and not masks.is_dir():
        raise UsageError(f"{masks}: expected a folder of masks, got none")
    jobs: list[Job] = []
    for composite, below in _find_composites(inputs, output, masks, recursive):
        target = naming.target(composite, output, below)
        job = replace(common, composite=composite, output=target)
        jobs.append(_add_mask(job, masks, below))
    if not jobs:
        names = ", ".join(map(str, inputs))
        extensions = ", ".join(SUFFIXES)
        raise UsageError(f"{names}: expected pictures ({extensions}), got none")
    return _refuse_collisions(jobs)


def _find_composites(
    inputs: Sequence[Path], output: Path, masks: Path | None, recursive: bool
) -> Iterator[tuple[Path, Path]]:
    """Give each composite and its folder, as seen from the input it was found in."""
    left_out = {os.path.realpath(path) for path in (output, masks) if path is not None}
    for entry in inputs:
        if not entry.exists():
            raise UsageError(f"{entry}: no such file or folder")
        if not entry.is_dir():
            yield entry, Path()
            continue
        pictures = find_pictures(entry, recursive=recursive)
        stems = {path.with_suffix("") for path in pictures}
        for path in pictures:
            if path.parent != entry and not left_out.isdisjoint(
                os.path.realpath(parent)
                for parent in path.parents
                if parent.is_relative_to(entry) and parent != entry
            ):
                continue
            if masks is None and _is_mask(path, stems):
                continue
            yield path, path.parent.relative_to(entry)


def _is_mask(path: Path, stems: set[Path]) -> bool:
    """Whether a picture is the mask of another one beside it."""
    stem = path.stem
    owner = stem.removesuffix(MASK_ENDING)
    return owner != stem and path.with_name(owner) in stems


def _add_mask(job: Job, masks: Path | None, below: Path) -> Job:
    composite = Path(job.name)
    if masks is not None:
        mask = _find_by_stem(masks / below, composite.stem, composite.suffix)
        if mask is None:
            mask = _find_by_stem(masks / below, composite.stem + MASK_ENDING, ".png")
        if mask is None:
            error = f"{composite}: expected a mask {composite.stem}.* in"
            return replace(job, error=f"{error} {masks / below}, got none")
        return replace(job, mask=mask)
    stem = composite.stem + MASK_ENDING
    return replace(job, mask=_find_by_stem(composite.parent, stem, ".png"))


def _find_by_stem(folder: Path, stem: str, suffix: str) -> Path | None:
    """Find a picture by its name without extension; PNG and the same one first."""
    for ending in dict.fromkeys((".png", suffix, *SUFFIXES)):
        for spelled in (ending, ending.upper()):
            path = folder / f"{stem}{spelled}"
            if path.is_file():
                return path
    return None


def _refuse_collisions(jobs: Iterable[Job]) -> list[Job]:
    """Let jobs fail that would overwrite an input, or each other's outputs."""
    jobs = list(jobs)
    inputs = {
        os.path.realpath(path)
        for job in jobs
        for path in (job.composite, *job.masks)
        if isinstance(path, Path)
    }
    outputs: dict[str, Job] = {}
    checked: list[Job] = []
    for job in jobs:
        output = os.path.realpath(job.output or "")
        error = job.error
        if output in inputs:
            error = f"{job.output}: the output would overwrite an input"
        elif outputs.setdefault(output, job) is not job:
            other = outputs[output].name
            error = f"{job.name}: {other} is written to {job.output}, too"
        checked.append(job if error is job.error else replace(job, error=error))
    return checked
