"""What a file says must be kept, or no longer said: selections, nclx, orientation."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from imharmony.errors import HarmonizeWarning
from imharmony.images import avif_boxes, files
from imharmony.images.photo import from_array, to_array

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def pixels(num_channels: int = 3) -> Pixels:
    rng = np.random.default_rng(4)
    return rng.integers(0, 256, (24, 40, num_channels), dtype=np.uint8)


def selection(tmp_path: Path) -> Path:
    path = tmp_path / "selection.tif"
    tifffile.imwrite(
        path, pixels(4), photometric="rgb", extrasamples=["unspecified"], metadata=None
    )
    return path


@pytest.mark.parametrize("suffix", [".png", ".webp", ".avif", ".jpg"])
def test_saved_selection_does_not_become_transparency(
    suffix: str, tmp_path: Path
) -> None:
    photo = files.read_photo(selection(tmp_path))
    with pytest.warns(HarmonizeWarning, match="not said to be transparency"):
        data = files.encode_photo(photo, suffix)
    with Image.open(io.BytesIO(data)) as read:
        assert read.mode == "RGB"
        if suffix != ".jpg":
            np.testing.assert_array_equal(np.asarray(read), pixels(4)[..., :3])


def test_saved_selection_stays_in_a_tiff(tmp_path: Path) -> None:
    photo = files.read_photo(selection(tmp_path))
    files.write_photo(photo, tmp_path / "after.tif")
    with tifffile.TiffFile(tmp_path / "after.tif") as file:
        page = file.pages.first
        assert page.extrasamples == (0,)
        np.testing.assert_array_equal(page.asarray(), pixels(4))


def avif_with_two_words(cicp: tuple[int, int]) -> tuple[bytes, bytes]:
    """Write an AVIF with a profile and with code points, as cameras do."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    Image.fromarray(pixels()).save(
        buffer, "AVIF", quality=100, subsampling="4:4:4", icc_profile=profile
    )
    data = bytearray(buffer.getvalue())
    at = data.index(b"colrnclx") + 8
    struct.pack_into(">HH", data, at, *cicp)
    return bytes(data), profile


@pytest.mark.parametrize("quality", [None, 90])
@pytest.mark.parametrize("num_channels", [3, 4])
def test_avif_keeps_profile_and_nclx(quality: int | None, num_channels: int) -> None:
    data, profile = avif_with_two_words((12, 13))
    photo = files.read_photo(data)
    if num_channels == 4:
        photo = photo.bandjoin(from_array(pixels()[..., :1]))
    after = files.encode_photo(photo, ".avif", quality=quality)
    words = avif_boxes.read_words(after)
    assert words is not None
    assert words.cicp == (12, 13)
    assert words.has_profile
    again = files.read_photo(after)
    assert bytes(again.get("icc-profile-data")) == profile
    with Image.open(io.BytesIO(after)) as theirs:  # libavif, which is not libvips's
        assert theirs.info["icc_profile"] == profile
        mode = "RGBA" if num_channels == 4 else "RGB"
        difference = np.asarray(theirs.convert(mode)) - to_array(photo).astype(int)
    assert np.abs(difference).max() <= (0 if quality is None else 90)
    if quality is None:
        np.testing.assert_array_equal(to_array(again), to_array(photo))


@pytest.mark.parametrize("num_channels", [3, 4])
def test_avif_keeps_exif_beside_both(num_channels: int) -> None:
    data, profile = avif_with_two_words((9, 1))
    photo = files.read_photo(data)
    block = Image.Exif()
    block[0x010F] = "Maker"
    buffer = io.BytesIO()
    Image.fromarray(pixels()).save(buffer, "PNG", exif=block.tobytes())
    other = files.read_photo(buffer.getvalue())
    photo.set_type(
        other.get_typeof("imharmony-exif"),
        "imharmony-exif",
        other.get("imharmony-exif"),
    )
    photo.set_type(other.get_typeof("exif-data"), "exif-data", other.get("exif-data"))
    after = files.encode_photo(photo, ".avif")
    with Image.open(io.BytesIO(after)) as theirs:
        assert theirs.getexif()[0x010F] == "Maker"
        assert theirs.info["icc_profile"] == profile
        np.testing.assert_array_equal(np.asarray(theirs), to_array(photo))


XMP = {
    "attribute": (
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf="
        b"'http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about='' "
        b"xmlns:tiff='http://ns.adobe.com/tiff/1.0/' tiff:Orientation='%d'/>"
        b"</rdf:RDF></x:xmpmeta>"
    ),
    "element": (
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf="
        b"'http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about='' "
        b"xmlns:tiff='http://ns.adobe.com/tiff/1.0/'>"
        b"<tiff:Orientation>%d</tiff:Orientation></rdf:Description>"
        b"</rdf:RDF></x:xmpmeta>"
    ),
}


def turned(kind: str, form: str) -> bytes:
    """Write a file whose EXIF and XMP say that it is to be turned."""
    block = Image.Exif()
    block[0x0112] = 6
    xmp = XMP[form] % 6
    buffer = io.BytesIO()
    options: dict[str, Any] = {"exif": block.tobytes()}
    if kind == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=form == "element")
        options["pnginfo"] = info
    else:
        options["xmp"] = xmp
    if kind == "WEBP":
        options["lossless"] = True
    Image.fromarray(pixels()).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["attribute", "element"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".avif"])
def test_xmp_of_turned_pixels_says_upright(kind: str, form: str, suffix: str) -> None:
    photo = files.read_photo(turned(kind, form))
    assert (photo.height, photo.width) == (40, 24)
    after = files.read_photo(files.encode_photo(photo, suffix))
    assert bytes(after.get("xmp-data")) == XMP[form] % 1


def test_xmp_of_pixels_that_lie_as_before_stays() -> None:
    data = turned("JPEG", "attribute")
    photo = files.read_photo(data)
    changed = photo.insert(from_array(np.zeros((8, 8, 3), np.uint8)), 8, 8)
    after = files.encode_photo(changed, ".jpg")
    assert XMP["attribute"] % 6 in after
    with Image.open(io.BytesIO(after)) as read:
        assert read.getexif()[0x0112] == 6
