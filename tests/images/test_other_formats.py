"""Files that are not our own formats: read by an extra, or named in words."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imharmony.errors import DecodeError, HarmonizeWarning
from imharmony.images import files
from imharmony.images.formats import HEAD_BYTES, describe, sniff
from imharmony.images.photo import from_array, to_array
from imharmony.writing import replace_whole


def stored(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (13, 17, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_bmp_is_read_as_pillow_reads_it(mode: str) -> None:
    data = stored("BMP", mode)
    with Image.open(io.BytesIO(data)) as theirs:
        gray = theirs.mode in ("1", "L")
        expected = np.asarray(theirs.convert("L" if gray else "RGB"))
    ours = to_array(files.read_photo(data))
    np.testing.assert_array_equal(ours, expected.reshape(ours.shape))


def test_cut_off_bmp_is_an_error() -> None:
    data = stored("BMP")
    with pytest.raises(DecodeError, match=r"a\.bmp: the BMP data is damaged"):
        files.read_photo(data[: len(data) // 2], name="a.bmp")


@pytest.mark.parametrize(
    ("head", "package"), [(stored("BMP"), "PIL"), (b"\0\0\0\x18ftypheic", "pi_heif")]
)
def test_without_the_extra_it_is_named(
    head: bytes, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DecodeError, match=r"'imharmony\[formats\]'"):
        files.read_photo(head)


def test_first_frame_of_a_gif_is_read_with_a_warning() -> None:
    frames = [Image.new("P", (9, 9), n) for n in (0, 1)]
    for frame in frames:
        frame.putpalette([10, 200, 30, 250, 0, 0])
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    with pytest.warns(HarmonizeWarning, match="2 pages; only the first"):
        pixels = to_array(files.read_photo(buffer.getvalue()))
    assert (pixels[..., :3] == (10, 200, 30)).all()


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"8BPS\0\1", "Photoshop"),
        (b"<?xml version='1.0'?><svg xmlns=''>", "SVG"),
        (b"%PDF-1.7", "PDF"),
        (b"v/1\x01", "OpenEXR"),
        (b"\xff\x0a", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n", "JPEG 2000"),
        (b"FUJIFILMCCD-RAW", "raw file"),
        (b"\0\0\0\x18ftypqt  ", "video"),
        (b"PK\3\4", "archive"),
    ],
)
def test_other_files_are_named_in_words(head: bytes, words: str) -> None:
    assert sniff(head[:HEAD_BYTES]) is None
    assert words in describe(head)
    with pytest.raises(DecodeError, match=rf"a\.x: expected a JPEG.*{words}"):
        files.read_photo(head, name="a.x")


def test_output_that_is_a_link_is_written_through(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    real, link = folder / "real.png", tmp_path / "link.png"
    link.symlink_to(real)
    photo = from_array(np.zeros((3, 4, 3), np.uint8))
    files.write_photo(photo, link)  # it points to nothing yet
    assert link.is_symlink()
    assert files.read_photo(real).width == 4
    files.write_photo(photo.crop(0, 0, 2, 2), link, overwrite=True)
    assert link.is_symlink()
    assert files.read_photo(real).width == 2
    with replace_whole(link, overwrite=True) as file:
        file.write(b"x")
    assert real.read_bytes() == b"x"
