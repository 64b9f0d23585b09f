"""Whole clips, from file to file."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from imharmony.curves import Curves
from imharmony.curves.smoothing import from_heights, to_heights
from imharmony.errors import HarmonizeError
from imharmony.harmonizer import Harmonizer
from imharmony.rendering.transform import CurveTransform
from imharmony.results import Predicted
from imharmony.video import VideoReport, harmonize_video
from tests.video.clips import (
    H,
    Pixels,
    W,
    composites,
    disc,
    paste,
    read_clip,
    scene,
    write_clip,
    write_masks,
)

BRIGHTER = from_heights(to_heights(Curves.identity()) ** 0.7)

# Mean 8-bit steps that a good lossy encoder may differ by.
ENCODED = 4.0


@dataclass
class Brightener:
    """Stands for a harmonizer: the same curves for each frame, or as told."""

    tell: Callable[[int], Curves] = lambda _: BRIGHTER
    asked: int = 0

    def predict(self, image: Any, mask: Any, **_: Any) -> Predicted:
        curves = self.tell(self.asked)
        self.asked += 1
        return Predicted(CurveTransform(curves), (curves,), "food")


def harmonize(*args: Any, **options: Any) -> VideoReport:
    return harmonize_video(
        *args, harmonizer=options.pop("harmonizer", Brightener()), **options
    )


def steps(one: Pixels, other: Pixels, where: Pixels) -> float:
    top = np.iinfo(one.dtype).max
    gap = np.abs(one[..., :3].astype(float) - other[..., :3].astype(float))[where]
    return float(255 / top * gap.mean())


def probe(path: Path) -> Any:
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        context = stream.codec_context
        frame = next(container.decode(stream))
        return {
            "codec": context.name,
            "format": context.pix_fmt,
            "colors": (
                context.color_range,
                context.colorspace,
                context.color_primaries,
                context.color_trc,
            ),
            "rotation": frame.rotation,
            "kinds": sorted(s.type for s in container.streams),
        }


INSIDE, OUTSIDE = disc() == 1, disc() == 0


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix"),
    [
        ("ffv1", "yuv444p", ".mkv"),
        ("libx264", "yuv420p", ".mp4"),
        ("libx265", "yuv420p10le", ".mp4"),
        ("prores_ks", "yuv422p10le", ".mov"),
        ("libvpx-vp9", "yuv420p", ".webm"),
        ("libsvtav1", "yuv420p10le", ".mp4"),
        ("mpeg4", "yuv420p", ".avi"),
    ],
)
def test_kind_depth_and_colors_are_kept(
    tmp_path: Path, codec: str, pixel_format: str, suffix: str
) -> None:
    colors = (1, 9, 9, 14) if "10" in pixel_format else (1, 1, 1, 1)
    options = {} if codec in ("ffv1", "prores_ks", "mpeg4") else {"crf": "10"}
    clip = write_clip(
        tmp_path / f"a{suffix}",
        composites(6),
        codec=codec,
        pixel_format=pixel_format,
        colors=colors,
        options=options,
    )
    masks = write_masks(tmp_path / "m.mkv", [disc()] * 6)
    output = tmp_path / f"b{suffix}"
    report = harmonize(clip, masks, output)
    assert report.num_frames == 6
    before, after = probe(clip), probe(output)
    if codec != "mpeg4":  # AVI has no place for tags
        assert before["colors"] == colors
    assert after == before
    old, new = read_clip(clip), read_clip(output)
    assert len(new) == 6
    top = np.iinfo(old[0].dtype).max
    for one, other in zip(old, new, strict=True):
        assert steps(one, other, OUTSIDE) < ENCODED
        expected = (BRIGHTER(one / top) * top).astype(one.dtype)
        assert steps(expected, other, INSIDE) < ENCODED
        assert steps(one, other, INSIDE) > 3 * ENCODED


def test_lossless_background_stays_bit_for_bit(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mkv", composites(4), pixel_format="bgr0")
    masks = write_masks(tmp_path / "m.mkv", [disc()] * 4)
    harmonize(clip, masks, tmp_path / "b.mkv")
    for one, other in zip(read_clip(clip), read_clip(tmp_path / "b.mkv"), strict=True):
        np.testing.assert_array_equal(one[OUTSIDE], other[OUTSIDE])
        assert (one[INSIDE] != other[INSIDE]).any()


def test_sound_subtitles_and_rotation_are_copied(tmp_path: Path) -> None:
    matrix = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]
    clip = write_clip(
        tmp_path / "a.mp4",
        composites(24),
        codec="libx264",
        pixel_format="yuv420p",
        matrix=matrix,
        sound=True,
    )
    masks = write_masks(tmp_path / "m.mkv", [disc()] * 24)
    harmonize(clip, masks, tmp_path / "b.mp4")
    before, after = probe(clip), probe(tmp_path / "b.mp4")
    assert abs(before["rotation"]) == 90
    assert after == before
    assert after["kinds"] == ["audio", "video"]

    def sound(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(p) for p in container.demux(audio=0) if p.size]

    assert sound(clip) == sound(tmp_path / "b.mp4")


@pytest.mark.interop
def test_subtitles_are_copied(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mkv", composites(24))
    (tmp_path / "s.srt").write_text("1\n00:00:00,100 --> 00:00:00,900\nhello\n")
    subprocess.run(
        [
            "ffmpeg",
            "-loglevel",
            "error",
            "-i",
            tmp_path / "a.mkv",
            "-i",
            tmp_path / "s.srt",
            "-c",
            "copy",
            "-c:s",
            "srt",
            tmp_path / "c.mkv",
        ],
        check=True,
    )
    masks = write_masks(tmp_path / "m.mkv", [disc()] * 24)
    harmonize(tmp_path / "c.mkv", masks, tmp_path / "b.mkv")
    with av.open(str(tmp_path / "b.mkv")) as container:
        texts = [bytes(p) for p in container.demux(subtitles=0) if p.size]
    assert texts == [b"hello"]
    report = harmonize(tmp_path / "c.mkv", masks, tmp_path / "b.webm", crf=40)
    assert "subtitle of kind" in str(report.warnings)


def test_moments_of_frames_are_kept(tmp_path: Path) -> None:
    times = [0, 40, 90, 400, 410, 700]
    clip = write_clip(tmp_path / "a.mkv", composites(6), times=times)
    masks = write_masks(tmp_path / "m.mkv", [disc()] * 6)
    harmonize(clip, masks, tmp_path / "b.mkv")
    with av.open(str(tmp_path / "b.mkv")) as container:
        found = [round(1000 * frame.time) for frame in container.decode(video=0)]
    assert found == times


@pytest.mark.parametrize("kind", ["clip", "sequence", "still"])
def test_masks_of_every_kind(tmp_path: Path, kind: str) -> None:
    clip = write_clip(tmp_path / "a.mkv", composites(3), pixel_format="bgr0")
    lossless = write_masks(tmp_path / "m.mkv", [disc()] * 3, pixel_format="bgr0")
    if kind == "clip":
        masks = write_masks(
            tmp_path / "m.mp4", [disc()] * 3, codec="libx264", pixel_format="yuv420p"
        )
    else:
        masks = tmp_path / "m"
        harmonize(lossless, lossless, masks, strength=0, harmonizer=Untouched())
        if kind == "still":
            masks = masks / "000001.png"
    harmonize(clip, masks, tmp_path / "b.mkv")
    new = read_clip(tmp_path / "b.mkv")
    assert len(new) == 3
    for one, other in zip(read_clip(clip), new, strict=True):
        far = np.zeros((H, W), bool)
        far[:8], far[-8:] = True, True
        np.testing.assert_array_equal(one[far], other[far])
        assert steps(one, other, INSIDE) > 10


class Untouched(Brightener):
    def predict(self, image: Any, mask: Any, **_: Any) -> Predicted:
        return Predicted(CurveTransform(Curves.identity()), (Curves.identity(),))


@pytest.mark.parametrize(
    ("suffix", "codec", "pixel_format"),
    [
        (".mov", "prores_ks", "yuva444p10le"),
        (".webm", "libvpx-vp9", "yuva420p"),
        ("", "", ""),
    ],
)
@pytest.mark.parametrize("moving", [True, False])
def test_cutout_with_alpha_is_laid_over_a_background(
    tmp_path: Path, suffix: str, codec: str, pixel_format: str, moving: bool
) -> None:
    cutouts = [np.dstack([paste(scene(), disc()), disc()])] * 4
    cutout = tmp_path / "cutout.mkv"
    write_clip(cutout, cutouts, pixel_format="yuva444p10le")
    if suffix:
        cutout = tmp_path / f"cutout{suffix}"
        options = {"crf": "5", "b": "0"} if suffix == ".webm" else {}
        write_clip(
            cutout, cutouts, codec=codec, pixel_format=pixel_format, options=options
        )
    else:
        frames = tmp_path / "frames"
        harmonize(cutout, None, frames, harmonizer=Untouched())
        cutout = frames / "%06d.png"
    behind = write_clip(
        tmp_path / "behind.mkv",
        [scene(5, pan=i) for i in range(6)],
        pixel_format="yuv444p10le",
    )
    if not moving:
        harmonize(
            behind,
            write_masks(tmp_path / "m.mkv", [disc()] * 6),
            tmp_path / "s",
            harmonizer=Untouched(),
        )
        behind = tmp_path / "s" / "000001.png"
    report = harmonize(
        cutout,
        None,
        tmp_path / "b.mkv",
        over=behind,
        codec="ffv1",
        pixel_format="yuv444p",
    )
    assert report.num_frames == 4
    for number, pixels in enumerate(read_clip(tmp_path / "b.mkv")):
        below = 255 * scene(5, pan=number if moving else 0)
        assert steps(pixels, below.astype(np.uint8), OUTSIDE) < 1.5
        brighter = 255 * BRIGHTER(paste(scene(), disc()))
        assert steps(pixels, brighter.astype(np.uint8), disc() > 0.999) < ENCODED


def test_alpha_is_the_mask_and_is_kept(tmp_path: Path) -> None:
    pixels = np.dstack([scene(), disc()])
    clip = write_clip(tmp_path / "a.mkv", [pixels] * 3, pixel_format="yuva444p")
    harmonize(clip, None, tmp_path / "b.mkv")
    for one, other in zip(read_clip(clip), read_clip(tmp_path / "b.mkv"), strict=True):
        np.testing.assert_array_equal(one[..., 3], other[..., 3])
        np.testing.assert_array_equal(one[OUTSIDE], other[OUTSIDE])
        assert steps(one, other, INSIDE) > 10


@pytest.mark.parametrize("suffix", [".png", ".tif", ".exr"])
def test_sequence_in_and_out_keeps_depth_and_names(tmp_path: Path, suffix: str) -> None:
    deep = write_clip(tmp_path / "a.mkv", composites(3), pixel_format="yuv444p10le")
    masks = write_masks(tmp_path / "m.mkv", [disc()] * 3)
    first = tmp_path / "in" / f"shot_%04d{suffix}"
    harmonize(deep, masks, first, harmonizer=Untouched())
    out = tmp_path / "out"
    report = harmonize(tmp_path / "in", masks, out, rate=Fraction(25))
    assert report.num_frames == 3
    names = sorted(path.name for path in out.iterdir())
    assert names == [f"shot_000{number}{suffix}" for number in (1, 2, 3)]
    from imharmony.video.clips import open_source

    old, new = (next(open_source(folder).frames()) for folder in (tmp_path / "in", out))
    one, other = old.as_photo(), new.as_photo()
    assert one.format == other.format == ("float" if suffix == ".exr" else "ushort")
    before, after = one.numpy(), other.numpy()
    np.testing.assert_allclose(before[OUTSIDE], after[OUTSIDE], atol=1e-6)
    top = 1 if suffix == ".exr" else 65535
    expected = BRIGHTER(before[INSIDE].astype(float) / top)
    assert np.abs(after[INSIDE] / top - expected).max() < 1e-3


def test_light_above_white_survives_exr(tmp_path: Path) -> None:
    from imharmony.images import photo
    from imharmony.video import exr

    pixels = np.full((8, 8, 3), 4.0, np.float32)
    pixels[0] = 0.25
    exr.write(photo.from_array(pixels), tmp_path / "a.exr", overwrite=False)
    with av.open(str(tmp_path / "a.exr")) as container:
        linear = next(container.decode(video=0)).to_ndarray(format="gbrpf32le")
    np.testing.assert_allclose(linear[0], ((0.25 + 0.055) / 1.055) ** 2.4, rtol=1e-4)
    back = photo.to_array(exr.read(tmp_path / "a.exr"))
    np.testing.assert_allclose(back, pixels, rtol=1e-5)


def test_still_scene_does_not_flicker_and_light_is_followed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def tell(number: int) -> Curves:
        return from_heights(to_heights(Curves.identity()) ** rng.normal(0.8, 0.05))

    frames = [paste(scene(light=0.5 if i < 24 else 0.9), disc()) for i in range(48)]
    clip = write_clip(tmp_path / "a.mkv", frames)
    masks = write_masks(tmp_path / "m.mkv", [disc()] * 48)
    flicker = {}
    for width_s in (0.0, 0.5):
        output = tmp_path / f"{width_s}.mkv"
        report = harmonize(
            clip, masks, output, harmonizer=Brightener(tell), every=1, width_s=width_s
        )
        assert report.num_scenes == 2
        means = [pixels[INSIDE].mean() for pixels in read_clip(output)]
        flicker[width_s] = np.abs(np.diff(means))[np.arange(47) != 23].mean()
    assert flicker[0.5] < 0.2 * flicker[0.0]


def test_network_is_asked_eight_times_a_second_and_at_cuts(tmp_path: Path) -> None:
    frames = [paste(scene(0 if i < 13 else 4), disc()) for i in range(24)]
    clip = write_clip(tmp_path / "a.mkv", frames)
    masks = write_masks(tmp_path / "m.mkv", [disc()] * 24)
    report = harmonize(clip, masks, tmp_path / "b.mkv")
    assert (report.num_scenes, report.num_looks) == (2, 5 + 4)
    assert (report.label, report.num_frames) == ("food", 24)


def test_bundled_weights_harmonize_a_clip(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mkv", composites(4))
    masks = write_masks(tmp_path / "m.mkv", [disc()] * 2 + [0 * disc()] * 2)
    report = harmonize_video(
        clip, masks, tmp_path / "b.mkv", harmonizer=Harmonizer(), every=1
    )
    assert report.num_looks == 2
    old, new = read_clip(clip), read_clip(tmp_path / "b.mkv")
    np.testing.assert_array_equal(old[3], new[3])


def test_interrupted_clip_goes_on_where_it_was(tmp_path: Path) -> None:
    count = 500
    frames = (paste(scene(pan=i / 5), disc()) for i in range(count))
    clip = write_clip(
        tmp_path / "a.mp4", frames, codec="libx264", pixel_format="yuv420p", sound=True
    )
    masks = write_masks(tmp_path / "m.mkv", [disc()] * count)
    whole = tmp_path / "whole.mp4"

    def stop(done: int, _: int | None) -> None:
        if done == 490:
            raise KeyboardInterrupt

    harmonize(clip, masks, whole, resume=True, harmonizer=Brightener())
    assert [path.name for path in tmp_path.glob("*.parts")] == []
    output = tmp_path / "b.mp4"
    with pytest.raises(KeyboardInterrupt):
        harmonize(clip, masks, output, resume=True, progress=stop)
    parts = tmp_path / "b.mp4.parts"
    assert sorted(p.name for p in parts.iterdir()) == [
        "000000.nut",
        "000001.nut",
        "made-with.json",
    ]
    assert not output.exists()
    with pytest.raises(HarmonizeError, match="made with other options"):
        harmonize(clip, masks, output, resume=True, strength=0.5)
    second = Brightener()
    harmonize(clip, masks, output, resume=True, harmonizer=second)
    assert second.asked < 40  # of 167: what is done is not asked about again
    assert not parts.exists()
    assert probe(output) == probe(whole)
    one, other = read_clip(whole), read_clip(output)
    assert len(one) == len(other) == count
    # x264 itself does not give the same bytes twice.
    assert max(steps(a, b, INSIDE) for a, b in zip(one, other, strict=True)) < ENCODED
    times = {}
    for path in (clip, output):
        with av.open(str(path)) as container:
            times[path] = [frame.time for frame in container.decode(video=0)]
    assert times[clip] == times[output]


@pytest.mark.parametrize("pixel_format", ["yuva420p", "yuva444p"])
@pytest.mark.parametrize("resume", [False, True])
def test_vp9_keeps_alpha(pixel_format: str, resume: bool, tmp_path: Path) -> None:
    from imharmony.video.clips import Clip, open_source

    pixels = np.dstack([scene(), disc()])
    clip = write_clip(tmp_path / "a.mkv", [pixels] * 6, pixel_format=pixel_format)
    output = tmp_path / "b.webm"
    harmonize(clip, None, output, resume=resume)
    source = open_source(output)
    assert isinstance(source, Clip)
    assert source.has_alpha
    frames = [frame.as_photo().numpy() for frame in source.frames()]
    assert len(frames) == 6
    for frame in frames:
        assert np.abs(frame[..., 3] / 255 - disc()).mean() < 0.01
    assert not (tmp_path / "b.webm.parts").exists()


def test_seam_is_asked_for_in_clips(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mkv", composites(2))
    masks = write_masks(tmp_path / "m.mkv", [disc()] * 2)
    asked = []

    class Listener(Brightener):
        def predict(self, image: Any, mask: Any, **options: Any) -> Predicted:
            asked.append(options["seam"])
            return super().predict(image, mask)

    for seam in ("auto", "trust", "ignore"):
        harmonize(
            clip,
            masks,
            tmp_path / f"{seam}.mkv",
            seam=seam,
            every=2,
            harmonizer=Listener(),
        )
    assert list(dict.fromkeys(asked)) == ["auto", "trust", "ignore"]
    with pytest.raises(HarmonizeError, match="seam is one of auto, trust, ignore"):
        harmonize(clip, masks, tmp_path / "b.mkv", seam="perhaps")


def test_stopped_clip_leaves_nothing(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mkv", composites(12))
    masks = write_masks(tmp_path / "m.mkv", [disc()] * 12)

    def stop(done: int, _: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        harmonize(clip, masks, tmp_path / "b.mkv", progress=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "m.mkv"]


BAD = {
    "short masks": "expected masks for all of|expected 6 masks",
    "long masks": "expected 6 masks",
    "small masks": "expected masks of the clip's size, 64x96 .* got 32x48",
    "no alpha": "expected frames with an alpha channel",
    "absent": "absent.mkv: no such file",
    "no video": "cannot be decoded|no video in it",
    "cut off": "ends early|cannot be decoded",
    "unknown codec": "codec: expected an encoder of this FFmpeg.* got 'h999'",
    "crf of none": "codec ffv1 has no constant quality",
    "pixel format": "pixel format of libx264: expected one of .* got rgb999",
    "extension": "expected a clip .* got '.txt'",
    "exists": "exists already",
    "folder": "the folder .* does not exist",
    "both": "masks and over: expected one of them",
    "still": "expected a clip or a sequence of frames, got one picture",
    "gap": "frame 2 is missing",
    "other size": "expected a frame of 64x96 .* got 2x3",
    "grid": "predicts no curves",
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_named_and_nothing_is_left(tmp_path: Path, what: str) -> None:
    from tests.batch.pictures import save

    clip = write_clip(tmp_path / "a.mkv", composites(6))
    masks: Path | None = write_masks(tmp_path / "m.mkv", [disc()] * 6)
    options: dict[str, Any] = {}
    output = tmp_path / "b.mkv"
    if what == "short masks":
        masks = write_masks(tmp_path / "m.mkv", [disc()] * 5)
    elif what == "long masks":
        masks = write_masks(tmp_path / "m.mkv", [disc()] * 7)
    elif what == "small masks":
        masks = write_masks(tmp_path / "m.mkv", [disc()[::2, ::2]] * 6)
    elif what == "no alpha":
        masks = None
    elif what == "absent":
        clip = tmp_path / "absent.mkv"
    elif what == "no video":
        clip.write_bytes(b"no clip at all" * 99)
    elif what == "cut off":
        clip = write_clip(
            tmp_path / "a.mov",
            composites(48),
            codec="mpeg4",
            pixel_format="yuv420p",
            options={"movflags": "faststart"},
        )
        clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    elif what == "unknown codec":
        options["codec"] = "h999"
    elif what == "crf of none":
        options["crf"] = 20
    elif what == "pixel format":
        options |= {"codec": "libx264", "pixel_format": "rgb999"}
    elif what == "extension":
        output = tmp_path / "b.txt"
    elif what == "exists":
        output = masks or output
    elif what == "folder":
        output = tmp_path / "absent" / "b.mkv"
    elif what == "both":
        options["over"] = clip
    elif what == "still":
        clip = save(tmp_path / "a.png", np.zeros((H, W, 3), np.uint8))
    elif what in ("gap", "other size"):
        clip = tmp_path / "in"
        for number in (1, 3) if what == "gap" else (1, 2):
            save(clip / f"{number}.png", np.zeros((H, W, 3), np.uint8))
        masks = save(tmp_path / "m.png", np.zeros((H, W), np.uint8))
        if what == "other size":
            save(clip / "2.png", np.zeros((2, 3, 3), np.uint8))
    elif what == "grid":
        from tests.onnx_files import write_picture_weights

        options["harmonizer"] = Harmonizer(weights=write_picture_weights(tmp_path))
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(HarmonizeError, match=BAD[what]):
        harmonize(clip, masks, output, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clip = write_clip(tmp_path / "a.mkv", rng.random((12, H, W, 3)))
    masks = write_masks(tmp_path / "m.mkv", [disc()] * 12)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, -1));"
        "from imharmony.cli import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, "video", clip, masks, "-o", tmp_path / "b.mkv"],
        # What counts lines writes a file, too, and its own error is not ours.
        env={k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "b.mkv: cannot be written (File too large)" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "m.mkv"]


def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    masks = write_masks(tmp_path / "m.mkv", [disc()])
    harmonize(masks, masks, tmp_path / "m", harmonizer=Untouched())
    still = tmp_path / "m" / "000001.png"
    peaks = []
    for count in (100, 900):
        frames = (paste(scene(pan=i / 9), disc()) for i in range(count))
        clip = write_clip(
            tmp_path / f"{count}.mp4", frames, codec="mpeg4", pixel_format="yuv420p"
        )
        harmonize(clip, still, tmp_path / f"{count}-out.mp4")
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert peaks[1] - peaks[0] < 12_000  # KB; the frames are 17 MB as RGB
