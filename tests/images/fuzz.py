"""Damaged files: an error, or outside the mask what another decoder reads; soon.

`python -m tests.images.fuzz FORMAT COUNT [SEED]` prints how many ended how. Every seed
is a kind of file on which something went wrong once: tiles, compressions, planes,
frames, further pictures, progressive scans, color told in odd ways.
"""

import io
import struct
import sys
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from imharmony.curves import Curves
from imharmony.errors import HarmonizeError
from imharmony.images import files
from imharmony.images.masks import mask_from_array
from imharmony.images.photo import straighten, to_array
from imharmony.rendering.render import render

HEIGHT, WIDTH = 50, 66
MAX_PIXELS = 2**20
Pixels = npt.NDArray[Any]
TOLERANCE = {"jpeg": 2, "avif": 3}
"""Steps by which decoders may differ; lossless formats differ by none."""
MAX_SECONDS = 3
"""Of this process, for one file; a whole one takes 0.1 s."""


def picture(channels: int = 3, dtype: str = "u1") -> Pixels:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    planes = [np.sin(x / (9 + k)) + np.cos(y / (7 + k)) for k in range(channels)]
    level = (np.stack(planes, -1) + 2) / 4
    if dtype == "f4":
        return level.astype("f4")
    return np.rint(level * np.iinfo(dtype).max).astype(dtype)


def by_pillow(kind: str, channels: int = 3, frames: int = 1, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pixels = picture(channels)
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    if frames > 1:
        options |= {"save_all": True, "append_images": [image.rotate(180)]}
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(pixels: Pixels, **options: Any) -> bytes:
    buffer = io.BytesIO()
    if pixels.shape[-1] >= 3:
        options.setdefault("photometric", "rgb")
    with tifffile.TiffWriter(buffer, bigtiff=options.pop("bigtiff", False)) as writer:
        writer.write(pixels, metadata=None, **options)
    return buffer.getvalue()


def jpeg_with_more() -> bytes:
    first, second = by_pillow("JPEG"), by_pillow("JPEG", 1)
    index = b"MPF\0MM\0*" + struct.pack(">IHHHI4s", 8, 1, 0xB000, 7, 4, b"0100")
    return (
        first[:2]
        + b"\xff\xe2"
        + struct.pack(">H", len(index) + 2)
        + index
        + (first[2:] + second)
    )


def with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    chunk = struct.pack(">I", len(body)) + kind + body
    return data[:33] + chunk + struct.pack(">I", zlib.crc32(kind + body)) + data[33:]


def seeds(kind: str) -> list[bytes]:
    """Make the files that are damaged."""
    if kind == "jpeg":
        return [
            *(by_pillow("JPEG", subsampling=s) for s in ("4:4:4", "4:2:2", "4:2:0")),
            by_pillow("JPEG", 1),
            by_pillow("JPEG", progressive=True),
            by_pillow("JPEG", restart_marker_blocks=4),
            by_pillow("JPEG", keep_rgb=True),
            jpeg_with_more(),
        ]
    if kind == "png":
        ok, wide = cv2.imencode(".png", picture(3, "u2"))
        plain = by_pillow("PNG")
        return [
            plain,
            by_pillow("PNG", 4),
            by_pillow("PNG", 1),
            by_pillow("PNG", frames=2),
            wide.tobytes() if ok else plain,
            with_chunk(plain, b"gAMA", struct.pack(">I", 100_000)),
            with_chunk(plain, b"cICP", bytes((12, 13, 0, 1))),
        ]
    if kind == "webp":
        return [
            by_pillow("WEBP", lossless=True),
            by_pillow("WEBP", 4, lossless=True, exact=True),
            by_pillow("WEBP", quality=90),
            by_pillow("WEBP", frames=2, lossless=True),
        ]
    if kind == "avif":
        options: dict[str, Any] = {"quality": 100, "subsampling": "4:4:4"}
        return [
            by_pillow("AVIF", **options),
            by_pillow("AVIF", 4, alpha_premultiplied=False, **options),
            by_pillow("AVIF", frames=2, **options),
        ]
    found = []
    for compression in ("none", "lzw", "deflate", "packbits", "zstd", "lzma", "webp"):
        for tile in (None, (16, 32)):
            strips = {} if tile else {"rowsperstrip": 8}
            found.append(tiff(picture(), compression=compression, tile=tile, **strips))
    for dtype in ("u2", "f4"):
        pixels = picture(3, dtype)
        found.append(tiff(pixels, compression="lzw", predictor=True, tile=(16, 16)))
    planes = np.moveaxis(picture(), -1, 0)
    found.append(
        tiff(planes, planarconfig="separate", tile=(16, 16), photometric="rgb")
    )
    found.append(tiff(picture(), bigtiff=True, compression="deflate", tile=(32, 16)))
    found.append(tiff(picture(4), extrasamples=["assocalpha"], tile=(16, 16)))
    return found


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file in one to three places, more often near its start."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        size = len(changed)
        reach = min(size, 400) if rng.random() < 0.5 else size
        at = int(rng.integers(0, max(1, reach)))
        way = rng.integers(0, 7)
        if way == 0:
            changed[at] ^= 1 << int(rng.integers(8))
        elif way == 1:
            changed[at] = int(rng.integers(256))
        elif way == 2:
            changed[at : at + 4] = rng.choice([b"\0\0\0\0", b"\xff\xff\xff\xff"])
        elif way == 3:
            length = int(rng.integers(1, 40))
            changed[at : at + length] = rng.bytes(min(length, size - at))
        elif way == 4 and size > 40:
            del changed[max(30, at) :]
        elif way == 5:
            del changed[at : at + int(rng.integers(1, 8))]
        else:
            changed[at:at] = rng.bytes(int(rng.integers(1, 8)))
        if len(changed) < 4:
            break
    if data.startswith(b"\x89PNG") and rng.random() < 0.6:
        return _with_right_sums(bytes(changed))
    return bytes(changed)


def _with_right_sums(data: bytes) -> bytes:
    """Let the checksums of a PNG be right again, so that damage gets further."""
    fixed, at = bytearray(data), 8
    while at + 12 <= len(fixed):
        (length,) = struct.unpack_from(">I", fixed, at)
        end = at + 8 + length
        if end + 4 > len(fixed):
            break
        struct.pack_into(">I", fixed, end, zlib.crc32(fixed[at + 4 : end]))
        at = end + 4
    return bytes(fixed)


def others(kind: str, data: bytes, ours: Pixels) -> Iterator[Callable[[], Pixels]]:
    """List decoders that are not ours."""

    def pillow() -> Pixels:
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[ours.shape[2]]
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            turned = image if kind == "tiff" else _turned(image)
            return np.asarray(turned.convert(mode)).reshape(*turned.size[::-1], -1)

    def opencv() -> Pixels:
        read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if read is None:
            raise ValueError("not decoded")
        read = read.reshape(*read.shape[:2], -1)
        return read[..., [2, 1, 0, 3][: read.shape[2]]] if read.shape[2] > 2 else read

    def tifffile_read() -> Pixels:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            if not {279, 325} & set(page.tags.keys()):  # it makes all but one black
                raise ValueError("the lengths of strips or tiles are not known")
            read: Pixels = page.asarray()
            if read.ndim == 3 and int(page.planarconfig) == 2:
                read = np.moveaxis(read, 0, -1)
            return read.reshape(*read.shape[:2], -1)

    if kind == "tiff":
        yield tifffile_read
    if kind == "png" and ours.dtype == np.uint16:
        yield opencv
    elif ours.dtype == np.uint8:
        yield pillow
        if kind == "jpeg":  # Pillow refuses what libjpeg only warns of
            yield opencv


def _turned(image: Image.Image) -> Image.Image:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def verdict(kind: str, data: bytes) -> str:
    """Say how it ended: refused, same, alone (no other decodes it), or DIFFERENT."""
    try:
        photo = files.read_photo(data, max_pixels=MAX_PIXELS)
        box = np.zeros((photo.height, photo.width), bool)
        box[photo.height // 3 : photo.height // 2, photo.width // 3 : -1] = True
        mask = mask_from_array(box, size=box.shape)
        knots = np.array([0.0, 0.5, 1.0])
        curves = Curves((knots,) * 3, (np.array([0, 0.4, 1]),) * 3)
        rendered = render(photo, mask, curves)
        suffix = {"tiff": ".tif", "jpeg": ".jpg"}.get(kind, f".{kind}")
        written = files.read_photo(files.encode_photo(rendered, suffix))
        ours = to_array(rendered)
        again = to_array(written)
    except HarmonizeError:
        return "refused"
    if kind == "webp" and again.shape[2] < ours.shape[2] and ours[..., -1].min() == 255:
        again = np.dstack([again, ours[..., -1]])  # WebP drops alpha that is opaque
    if kind != "jpeg" and not np.array_equal(again[~box], ours[~box]):
        return "DIFFERENT after writing"
    ours = to_array(straighten(rendered)) if kind == "avif" else ours
    found = "alone"
    for decode in others(kind, data, ours):
        try:
            theirs = decode()
        except Exception:  # noqa: BLE001  (whatever another decoder raises)
            continue
        if theirs.shape != ours.shape or theirs.dtype != ours.dtype:
            found = "other kind"
            continue
        outside = ~box
        if ours.shape[2] in (2, 4) and kind in ("avif", "webp"):
            # Colors without opacity are not shown, and faint ones rounded otherwise.
            outside &= ours[..., -1] > (100 if kind == "avif" else 0)
        difference = np.abs(theirs[outside].astype(float) - ours[outside])
        if not difference.size or difference.max() <= TOLERANCE.get(kind, 0):
            return "same"
        found = "DIFFERENT"
    return found


def run(kind: str, count: int, seed: int = 0) -> tuple[Counter[str], list[bytes]]:
    """Damage files so often; also return those that ended badly."""
    rng = np.random.default_rng(seed)
    originals = seeds(kind)
    ended: Counter[str] = Counter()
    bad = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for original in originals:
            assert verdict(kind, original) == "same"
        for i in range(count):
            data = damaged(originals[i % len(originals)], rng)
            start = time.process_time()
            how = verdict(kind, data)
            if time.process_time() - start > MAX_SECONDS:
                how = "SLOW"
            ended[how] += 1
            if how.isupper() or how.startswith("DIFFERENT") or how == "alone":
                bad.append(data)
    return ended, bad


if __name__ == "__main__":
    kind, count = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    ended, bad = run(kind, count, seed)
    sys.stdout.write(f"{kind} {count} {dict(ended)}\n")
    for i, data in enumerate(bad[:20]):
        with open(f"fuzz-{kind}-{seed}-{i}.bin", "wb") as file:  # noqa: PTH123
            file.write(data)
