"""Harmonize a clip: predict ahead, smooth over time, recolor, and write.

Two readers go through the clip. The first is ahead by the reach of the smoothing and
asks the network; the second recolors and writes. So only a few frames are in memory at
a time, however long the clip is.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from queue import Full, Queue
from typing import TypeVar

import pyvips

from imharmony.curves import Curves
from imharmony.curves.smoothing import WIDTH_S, Look, smooth_looks, to_heights
from imharmony.errors import Hint, ImageError, ShapeError, UsageError
from imharmony.harmonizer import Harmonizer
from imharmony.images import compositing, files
from imharmony.images.masks import mask_box
from imharmony.images.pixels import to_array
from imharmony.inference.choices import SeamUse, check_seam
from imharmony.scenes import SceneWatch, shrink
from imharmony.video.clips import (
    Source,
    Still,
    is_sequence,
    open_source,
    read_mask,
    split_cutout,
)
from imharmony.video.encoding import Encoding, choose_encoding, write_clip
from imharmony.video.frames import Frame, StillFrame
from imharmony.video.segments import count_done, write_in_segments
from imharmony.video.sequences import check_sequence, write_sequence

__all__ = ["VideoReport", "harmonize_video"]

_LOOKS_A_SECOND = 8
_AHEAD = 4  # most decoded frames that wait to be recolored

T = TypeVar("T")
Pair = tuple[Frame, pyvips.Image]


@dataclass(frozen=True)
class VideoReport:
    """What became of a clip."""

    num_frames: int
    num_scenes: int
    num_looks: int
    """Frames that the network was asked about."""
    seconds: float
    label: str | None
    """The label of the first look."""
    warnings: tuple[str, ...]
    """What may surprise. Each is named once, with its first frame."""


class _Counts:
    """Counts that grow while the frames go by."""

    def __init__(self) -> None:
        self.num_frames = 0
        self.num_scenes = 0
        self.num_looks = 0
        self.label: str | None = None
        self.notes: dict[str, int] = {}


def harmonize_video(
    clip: Path,
    masks: Path | None,
    output: Path,
    *,
    harmonizer: Harmonizer,
    over: Path | None = None,
    reference: Path | None = None,
    label: str | None = None,
    strength: float = 1.0,
    seam: SeamUse = "auto",
    every: int | None = None,
    width_s: float = WIDTH_S,
    rate: Fraction | None = None,
    codec: str | None = None,
    crf: float | None = None,
    pixel_format: str | None = None,
    options: Mapping[str, str] | None = None,
    resize_mask: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> VideoReport:
    """Harmonize the foreground of a clip with its background, without flicker.

    Parameters
    ----------
    clip : Path
        A clip, or a sequence of frames: a folder, or a pattern such as
        `frames/%04d.png`.
    masks : Path or None
        A clip, a sequence, or one still picture; white is the foreground. None takes
        the clip's alpha.
    output : Path
        A clip, or a sequence: a folder, or a pattern.
    harmonizer : Harmonizer
        With weights that predict curves.
    over : Path or None
        What to lay a clip with alpha on: a clip, a sequence or a still.
    reference : Path or None
        Another photo to fit to.
    label, strength, seam
        As for calling a `Harmonizer`.
    every : int or None
        From one frame that the network is asked about to the next, in frames. A new
        scene is asked about at once. None asks eight times a second.
    width_s : float
        How far curves are averaged over time, in seconds; see `smooth_looks`. 0 does
        not average.
    rate : Fraction or None
        Frames a second of a sequence; None takes 24.
    codec, crf, pixel_format, options
        As for `choose_encoding`.
    resize_mask : bool
        Whether masks of another size are stretched.
    overwrite : bool
        Whether existing files may be replaced.
    resume : bool
        Whether to go on where an earlier run stopped. A clip is worked on in segments,
        which stay in `OUTPUT.parts` until all are done; whole segments are not made
        again. Of a sequence, frames that exist are not made again.
    progress : callable or None
        Called with the frames done and their number, if known.

    Returns
    -------
    VideoReport

    Raises
    ------
    UsageError
        If the options contradict each other or the output cannot be written.
    ImageError
        If a frame or mask cannot be used; nothing is then left of the output.
    """
    begin = time.perf_counter()
    check_seam(seam)
    source = open_source(clip, rate=rate)
    if isinstance(source, Still):
        msg = f"{clip}: expected a clip or a sequence of frames, got one picture"
        raise UsageError(f"{msg}; 'imharmony harmonize' takes it")
    mask_source = None if masks is None else open_source(masks)
    behind = None if over is None else open_source(over)
    _check_sources(source, mask_source, behind, resize_mask=resize_mask)
    reference_photo = None if reference is None else files.read_photo(reference)
    has_alpha = masks is None and over is None
    to_files = is_sequence(output) or (not output.suffix and not output.exists())
    encoding: Encoding | None = None
    if to_files:
        check_sequence(output, source, overwrite=overwrite, resume=resume)
    else:
        encoding = choose_encoding(
            source,
            output,
            has_alpha=has_alpha,
            codec=codec,
            crf=crf,
            pixel_format=pixel_format,
            options=options,
        )
        if output.exists() and not overwrite:
            raise UsageError(f"{output}: exists already", hint=Hint.OVERWRITE)
        if not output.parent.is_dir():
            raise UsageError(f"{output}: the folder {output.parent} does not exist")
    counts = _Counts()

    def pairs() -> Iterator[Pair]:
        return _pair(source, mask_source, behind, resize_mask=resize_mask)

    def predict(image: pyvips.Image, mask: pyvips.Image) -> Curves | None:
        predicted = harmonizer.predict(
            image,
            mask,
            label=label,
            strength=strength,
            reference=reference_photo,
            seam=seam,
        )
        for note in predicted.warnings:
            counts.notes.setdefault(note, counts.num_frames + 1)
        curves = predicted.curves  # an error for networks that give pictures
        if not predicted.stages:
            return None
        if counts.label is None:
            counts.label = predicted.label
        return curves

    every = every or max(1, round(source.rate / _LOOKS_A_SECOND))
    num_done = count_done(output) if resume and not to_files else 0
    reach = math.ceil(3 * width_s * source.rate) + every
    looks = _look(pairs(), predict, every, counts, first=num_done - reach)
    curves = _fetch_ahead(smooth_looks(looks, width_s=width_s), 64)
    frames = _fetch_ahead(pairs(), _AHEAD)
    recolored = _recolor(frames, curves, source, progress, first=num_done)
    notes: list[str] = []
    if to_files:
        write_sequence(recolored, source, output, overwrite=overwrite, resume=resume)
    elif encoding is not None and resume:
        key = [clip, masks, over, reference, label, strength, every, width_s, encoding]
        key += [] if seam == "auto" else [seam]
        notes = write_in_segments(
            recolored, source, output, encoding, key=repr(key), overwrite=overwrite
        )
    elif encoding is not None:
        notes = write_clip(recolored, source, output, encoding, overwrite=overwrite)
    of_frames = [
        f"from frame {number}: {note}" for note, number in counts.notes.items()
    ]
    return VideoReport(
        num_frames=counts.num_frames,
        num_scenes=counts.num_scenes,
        num_looks=counts.num_looks,
        seconds=time.perf_counter() - begin,
        label=counts.label,
        warnings=(*of_frames, *notes),
    )


def _check_sources(
    source: Source, masks: Source | None, behind: Source | None, *, resize_mask: bool
) -> None:
    """Refuse inputs that do not fit together, before any work."""
    height, width = source.size
    if masks is not None and behind is not None:
        raise UsageError("masks and over: expected one of them, got both")
    for other, noun in ((masks, "masks"), (behind, "frames")):
        if other is None:
            continue
        if other.size != source.size and not (resize_mask and other is masks):
            raise ShapeError(
                f"{other.name}: expected {noun} of the clip's size, {height}x{width} "
                f"(height x width), got {other.size[0]}x{other.size[1]}",
                hint=Hint.RESIZE_MASK if other is masks else None,
            )
        counts = other.num_frames, source.num_frames
        if other is masks and None not in counts and counts[0] != counts[1]:
            raise ImageError(
                f"{other.name}: expected {source.num_frames} masks, as many as "
                f"{source.name} has frames, got {other.num_frames}"
            )


def _pair(
    source: Source, masks: Source | None, behind: Source | None, *, resize_mask: bool
) -> Iterator[Pair]:
    """Bring each frame together with its mask, or lay it on its background."""
    others = masks or behind
    waiting = iter(()) if others is None else others.frames()
    count = 0
    for frame in source.frames():
        count += 1
        if others is None:
            yield frame, split_cutout(frame, source.name)[1]
            continue
        other = next(waiting, None)
        if other is None:
            noun = "masks" if others is masks else "frames"
            msg = f"{others.name}: expected {noun} for all of {source.name}"
            raise ImageError(f"{msg}, got {count - 1} of them")
        if others is masks:
            mask = read_mask(other, source.size, others.name, resize=resize_mask)
            yield frame, mask
        else:
            yield _lay_over(frame, other, source.name)
    has_more = masks is not None and not isinstance(masks, Still)
    if masks is not None and has_more and next(waiting, None) is not None:
        msg = f"{masks.name}: expected {count} masks, as many as {source.name} has"
        raise ImageError(f"{msg} frames, got more")


def _lay_over(frame: Frame, behind: Frame, name: str) -> Pair:
    """Lay a frame with alpha on a frame of the background."""
    cutout = frame.as_photo()
    if not cutout.hasalpha():
        raise ImageError(f"{name}: expected frames with an alpha channel, got none")
    pasted = compositing.paste(cutout, behind.as_photo(), at=(0, 0))
    return StillFrame(pasted.composite, frame.time_s), pasted.mask


def _look(
    pairs: Iterator[Pair],
    predict: Callable[[pyvips.Image, pyvips.Image], Curves | None],
    every: int,
    counts: _Counts,
    *,
    first: int,
) -> Iterator[Look]:
    """Tell scenes apart, and ask the network about some frames of each.

    The network is not asked about frames before `first`: no frame that is still to be
    written depends on them.
    """
    watch = SceneWatch()
    scene = -1
    since = every
    for frame, mask in pairs:
        small_mask = shrink(to_array(mask)[..., 0])
        if watch.is_new(frame.small(), small_mask):
            scene += 1
            since = every
        heights = None
        is_due = since >= every and mask_box(mask) is not None
        if is_due and counts.num_frames < first:
            since = 0
        elif is_due:
            curves = predict(frame.as_photo(), mask)
            counts.num_looks += 1
            if curves is not None:
                heights = to_heights(curves)
                since = 0
        since += 1
        counts.num_frames += 1
        counts.num_scenes = scene + 1
        yield Look(frame.time_s, scene, heights)


def _recolor(
    pairs: Iterator[Pair],
    curves: Iterator[Curves],
    source: Source,
    progress: Callable[[int, int | None], None] | None,
    *,
    first: int,
) -> Iterator[Frame]:
    """Recolor all frames; those before `first` are written already."""
    for number, ((frame, mask), change) in enumerate(
        zip(pairs, curves, strict=True), start=1
    ):
        yield frame if number <= first else frame.recolor(mask, change)
        if progress is not None:
            progress(number, source.num_frames)


def _fetch_ahead(items: Iterator[T], count: int) -> Iterator[T]:
    """Compute up to `count` items ahead in another thread; raise its errors here."""
    ready: Queue[list[T]] = Queue(count)  # lists of one item; an empty list ends it
    is_over = threading.Event()

    def put(item: list[T]) -> None:
        while not is_over.is_set():
            try:
                ready.put(item, timeout=0.1)
            except Full:
                continue
            return

    def work() -> None:
        try:
            for item in items:
                put([item])
                if is_over.is_set():
                    return
        finally:
            put([])

    with ThreadPoolExecutor(1, "imharmony-ahead") as threads:
        working = threads.submit(work)
        try:
            while item := ready.get():
                yield item[0]
        finally:
            is_over.set()
        working.result()
