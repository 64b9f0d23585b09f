"""Through the command line: blocks of a JPEG stay, and a mask brings nothing along."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from imharmony.images import coefficient_codec
from tests.cli.commands import Run
from tests.images.test_jpeg_coefficients import (
    assert_law_holds,
    exif,
    mask,
    pillow_jpeg,
    scene,
)


def edited() -> Any:
    """A scene whose foreground is far too dark and too red."""
    pixels = scene().astype(float)
    pixels[mask()] *= (0.6, 0.35, 0.3)
    return pixels.astype(np.uint8)


needs_jpeglib = pytest.mark.skipif(
    not coefficient_codec.is_installed(), reason="jpeglib has no wheel here"
)


def save_mask(path: Path) -> Path:
    Image.fromarray(mask().astype(np.uint8) * 255).save(path)
    return path


@needs_jpeglib
@pytest.mark.parametrize(
    "options",
    [{"subsampling": "4:2:0"}, {"progressive": True}, {"restart_marker_rows": 1}],
)
def test_blocks_without_foreground_stay(
    options: dict[str, Any], folder: Path, run: Run
) -> None:
    photo = folder / "photo.jpg"
    photo.write_bytes(pillow_jpeg(edited(), **options))
    chosen = save_mask(folder / "mask.png")
    assert run("harmonize", photo, chosen, "-o", "out.jpg").code == 0
    after = Path("out.jpg").read_bytes()
    assert_law_holds(photo.read_bytes(), after, mask(), folder)


@needs_jpeglib
def test_blocks_stay_in_all_photos_of_a_folder(folder: Path, run: Run) -> None:
    photos = folder / "photos"
    photos.mkdir()
    for name in ("a", "b"):
        (photos / f"{name}.jpg").write_bytes(pillow_jpeg(edited()))
        save_mask(photos / f"{name}_mask.png")
    assert run("harmonize", photos, "-o", "done", "--workers", "1").code == 0
    for name in ("a", "b"):
        before = (photos / f"{name}.jpg").read_bytes()
        after = (folder / "done" / f"{name}.jpg").read_bytes()
        assert_law_holds(before, after, mask(), folder)


@needs_jpeglib
def test_blocks_stay_with_several_objects(folder: Path, run: Run) -> None:
    photo = folder / "photo.jpg"
    photo.write_bytes(pillow_jpeg(edited()))
    values = mask().astype(np.uint8)
    values[:, 95:] *= 2
    Image.fromarray(values).save("objects.png")
    assert run("harmonize", photo, "objects.png", "--labels", "-o", "o.jpg").code == 0
    assert_law_holds(photo.read_bytes(), Path("o.jpg").read_bytes(), values > 0, folder)


@needs_jpeglib
def test_blocks_without_a_pasted_pixel_stay(folder: Path, run: Run) -> None:
    background = folder / "background.jpg"
    background.write_bytes(pillow_jpeg(scene()))
    cutout = np.full((24, 30, 4), [200, 40, 30, 255], np.uint8)
    Image.fromarray(cutout).save("cutout.png")
    args = ("paste", "cutout.png", background, "-o", "out.jpg", "--at", "40,30")
    finished = run(*args)
    assert finished.code == 0, finished.err
    with Image.open("out.jpg") as pasted:
        differs = np.asarray(pasted).astype(int) - np.asarray(Image.open(background))
    rows, columns = np.nonzero(np.abs(differs).sum(axis=2))
    covered = np.zeros(mask().shape, bool)
    covered[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    assert covered.mean() < 0.25
    assert_law_holds(
        background.read_bytes(), Path("out.jpg").read_bytes(), covered, folder
    )


SECRETS = b"SecretMaker", b"secret-xmp", b"secret words"


def told(path: Path, pixels: Any) -> Path:
    """Write a picture whose file says a lot."""
    block = Image.Exif()
    block[0x010F] = "SecretMaker"
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>secret-xmp</x:xmpmeta>"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if path.suffix == ".tif":
        tifffile.imwrite(
            path,
            pixels,
            metadata=None,
            description="secret words",
            extratags=[(271, "s", 0, "SecretMaker", True)],
            iccprofile=profile,
            resolution=(321, 321),
        )
        return path
    picture = Image.fromarray(pixels)
    options: dict[str, Any] = {"exif": block.tobytes(), "icc_profile": profile}
    if picture.mode == "L":
        options.pop("icc_profile")
    if path.suffix == ".png":
        info = PngInfo()
        info.add_text("Comment", "secret words")
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        options |= {"pnginfo": info, "dpi": (321, 321)}
    else:
        options |= {"xmp": xmp, "quality": 100}
    if path.suffix == ".webp":
        options["lossless"] = True
    picture.save(path, **options)
    return path


def assert_says_nothing(path: Path) -> None:
    data = path.read_bytes()
    assert not [secret for secret in SECRETS if secret in data]
    with Image.open(io.BytesIO(data)) as picture:
        assert "icc_profile" not in picture.info
        resolution = picture.info.get("dpi")
        assert resolution is None or round(float(resolution[0])) != 321


OUTPUTS = [".png", ".webp", ".tif", ".avif", ".jpg"]


@pytest.mark.parametrize("kind", [".png", ".jpg", ".tif", ".webp"])
@pytest.mark.parametrize("suffix", OUTPUTS)
def test_mask_brings_nothing_along(
    kind: str, suffix: str, folder: Path, run: Run
) -> None:
    composite = folder / "photo.png"
    Image.fromarray(scene()).save(composite)
    chosen = mask().astype(np.uint8) * 255
    if kind == ".webp":
        chosen = chosen[..., None].repeat(3, axis=2)
    said = told(folder / f"mask{kind}", chosen)
    output = folder / f"out{suffix}"
    assert run("harmonize", composite, said, "-o", output).code == 0
    assert_says_nothing(output)


@pytest.mark.parametrize("suffix", OUTPUTS)
@pytest.mark.parametrize("way", ["mask twice", "labels", "stretched", "reference"])
def test_other_inputs_bring_nothing_along(
    way: str, suffix: str, folder: Path, run: Run
) -> None:
    composite = folder / "photo.png"
    Image.fromarray(scene()).save(composite)
    chosen = mask().astype(np.uint8) * 255
    output = folder / f"out{suffix}"
    args: tuple[str | Path, ...]
    if way == "mask twice":
        other = np.zeros_like(chosen)
        other[5:25, 5:40] = 255
        masks = told(folder / "a.png", chosen), told(folder / "b.tif", other)
        args = ("--mask", masks[0], "--mask", masks[1])
    elif way == "labels":
        args = (told(folder / "a.png", chosen // 255), "--labels")
    elif way == "stretched":
        args = (told(folder / "a.png", chosen[::2, ::2]), "--resize-mask")
    else:
        plain = save_mask(folder / "a.png")
        args = (plain, "--reference", told(folder / "r.png", scene()))
    assert run("harmonize", composite, *args, "-o", output).code == 0
    assert_says_nothing(output)


@pytest.mark.parametrize("kind", [".png", ".webp"])
@pytest.mark.parametrize("suffix", OUTPUTS)
def test_cutout_brings_nothing_along(
    kind: str, suffix: str, folder: Path, run: Run
) -> None:
    background = folder / "background.png"
    Image.fromarray(scene()).save(background)
    cutout = np.full((24, 30, 4), [200, 40, 30, 255], np.uint8)
    cutout[:3] = 0
    said = told(folder / f"cutout{kind}", cutout)
    output = folder / f"out{suffix}"
    args = ("--composite", f"composite{suffix}")
    finished = run("paste", said, background, "-o", output, *args)
    assert finished.code == 0, finished.err
    assert_says_nothing(output)
    assert_says_nothing(folder / f"composite{suffix}")


def test_photo_keeps_its_own_words_beside_those_of_a_mask(
    folder: Path, run: Run
) -> None:
    composite = folder / "photo.jpg"
    composite.write_bytes(pillow_jpeg(scene(), exif=exif(1)))
    said = told(folder / "mask.png", mask().astype(np.uint8) * 255)
    assert run("harmonize", composite, said, "-o", "out.png").code == 0
    with Image.open("out.png") as after:
        assert after.getexif()[0x010F] == "Maker"
