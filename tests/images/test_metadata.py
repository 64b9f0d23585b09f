"""Every tag before and after, as exiftool reads it: none lost, none invented."""

import io
import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from imharmony.images import files
from imharmony.images.photo import from_array

pytestmark = pytest.mark.metadata

# What describes the file or its coding, not the picture.
CODING = {
    "SourceFile",
    "ExifTool:ExifToolVersion",
    "File:FileName",
    "File:Directory",
    "File:FileSize",
    "File:FileModifyDate",
    "File:FileAccessDate",
    "File:FileInodeChangeDate",
    "File:FilePermissions",
    "File:EncodingProcess",
    "File:CurrentIPTCDigest",
    "PNG:Filter",
    "PNG:Compression",
    "PNG:Interlace",
    "EXIF:StripOffsets",
    "EXIF:StripByteCounts",
    "EXIF:RowsPerStrip",
    "EXIF:TileOffsets",
    "EXIF:TileByteCounts",
    "EXIF:Predictor",
    "EXIF:SubfileType",
    "EXIF:Orientation",
    "QuickTime:MediaDataSize",
    "QuickTime:MediaDataOffset",
    "QuickTime:CompatibleBrands",
    "QuickTime:ChromaFormat",
    "QuickTime:AV1ConfigurationVersion",
    "QuickTime:MediaData",
    "QuickTime:ChromaSamplePosition",
    "QuickTime:ColorPrimaries",
    "QuickTime:TransferCharacteristics",
    "QuickTime:VideoFullRangeFlag",
    "QuickTime:ColorProfiles",
    "QuickTime:MatrixCoefficients",
    "QuickTime:ImagePixelDepth",
    "QuickTime:QuickTime_ColorRep_0x000a",
    "RIFF:VP8Version",
    "RIFF:HorizontalScale",
    "RIFF:VerticalScale",
    "RIFF:AlphaIsUsed",
    "File:ExifByteOrder",
}


def tags(path: Path) -> dict[str, Any]:
    shown = subprocess.run(
        ["exiftool", "-j", "-G", "-n", "-a", "-U", str(path)],
        capture_output=True,
        check=False,
    ).stdout
    (found,) = json.loads(shown)
    return {key: value for key, value in found.items() if key not in CODING}


def pixels() -> Any:
    return np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def rewritten(path: Path, suffix: str | None = None) -> Path:
    photo = files.read_photo(path)
    changed = photo.insert(from_array(np.zeros((8, 8, photo.bands), np.uint8)), 8, 8)
    target = path.with_name("after" + (suffix or path.suffix))
    files.write_photo(changed, target)
    return target


def exif() -> bytes:
    block = Image.Exif()
    block[0x010F], block[0x0110] = "Maker", "Model 5"
    block[0x013B], block[0x8298] = "Ann", "(c) Ann"
    block[0x9C9B] = "Größe".encode("utf-16-le")  # XPTitle
    inner = block.get_ifd(0x8769)
    inner[0x829A] = (1, 250)
    inner[0x9003] = "2020:01:02 03:04:05"
    inner[0x927C] = b"maker's note"
    place = block.get_ifd(0x8825)
    place[1], place[2] = "N", (48.0, 8.0, 3.0)
    return block.tobytes()


XMP = (
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf="
    b"'http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about='' "
    b"xmlns:dc='http://purl.org/dc/elements/1.1/' dc:source='a film'/></rdf:RDF>"
    b"</x:xmpmeta>"
)


def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


# Exif 2.3, in three directories, and two of GPS; one of interoperability within EXIF.
CAMERA = {
    "Make": "Maker",
    "ExposureTime": "1/250",
    "FNumber": "2.8",
    "DateTimeOriginal": "2020:01:02 03:04:05",
    "UserComment": "Grüße",
    "ComponentsConfiguration": "Y, Cb, Cr, -",
    "LensInfo": "24 70 2.8 2.8",
    "ColorSpace": "Uncalibrated",
    "InteropIndex": "R03",
    "InteropVersion": "0100",
    "GPSLatitudeRef": "N",
    "GPSLatitude": "48.13",
    "GPSDateStamp": "2020:01:02",
}


def add_camera_tags(path: Path) -> None:
    told = [f"-{name}={value}" for name, value in CAMERA.items()]
    command = ["exiftool", "-q", "-overwrite_original", *told, str(path)]
    subprocess.run(command, check=True)


def written(tmp_path: Path, name: str) -> Path:
    """Write a file as programs do, with and without what they may say."""
    kind, _, what = name.partition(" ")
    path = tmp_path / f"before.{kind}"
    picture = Image.fromarray(pixels())
    if kind == "tif":
        extra: list[tuple[Any, ...]] = [
            (0x9C9B, 1, None, "Größe".encode("utf-16-le"), True)
        ]
        extra += [(270, "s", 0, "a title", True), (315, "s", 0, "Ann", True)]
        options: dict[str, Any] = {"compression": "lzw", "photometric": "rgb"}
        options["software"] = False
        if what == "all":
            options |= {
                "extratags": extra,
                "resolution": (300, 200),
                "iccprofile": profile(),
            }
            options |= {"resolutionunit": 2, "software": "prog", "datetime": True}
            options["tile"] = (16, 16)
        data = pixels()
        if what == "selection":
            data = np.dstack([data, data[..., 0]])
            options["extrasamples"] = ["unspecified"]
        tifffile.imwrite(path, data, metadata=None, **options)
        if what in ("exif", "all", "camera"):
            add_camera_tags(path)
        return path
    options = {}
    if what == "all":
        options = {"exif": exif(), "icc_profile": profile(), "xmp": XMP}
    if what == "exif":
        options = {"exif": exif()}
    if kind == "png" and what == "all":
        info = PngInfo()
        info.add_text("Title", "a title")
        info.add_itxt("Comment", "café")
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        info.add(b"gAMA", struct.pack(">I", 45455))
        options |= {"pnginfo": info, "dpi": (300, 200)}
        options.pop("xmp")
    if kind in ("webp", "avif"):
        options |= {"quality": 100}
    if kind == "webp":
        options |= {"lossless": True}
    if kind == "avif":
        options |= {"subsampling": "4:4:4"}
    if kind == "jpg" and what == "all":
        options |= {"dpi": (300, 200), "comment": b"said"}
    picture.save(path, **options)
    if what == "camera":
        add_camera_tags(path)
    return path


@pytest.mark.parametrize(
    "name",
    [
        f"{kind} {what}"
        for kind in ("jpg", "png", "webp", "tif", "avif")
        for what in ("bare", "exif", "all")
    ]
    + [f"{kind} camera" for kind in ("jpg", "png", "webp", "avif")]
    + ["tif selection"],
)
def test_same_format_says_the_same(name: str, tmp_path: Path) -> None:
    before = written(tmp_path, name)
    assert tags(rewritten(before)) == tags(before)


# What each format says of every picture, in its own words.
KINDS = ("jpg", "png", "webp", "avif", "tif")
OWN = {"File", "Composite", "PNG", "RIFF", "QuickTime", "JFIF", "ExifTool", "Meta"}


@pytest.mark.parametrize(
    "name", [*(f"{kind} all" for kind in KINDS), *(f"{kind} camera" for kind in KINDS)]
)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif", ".tif"])
def test_other_format_says_the_same_of_the_photograph(
    name: str, suffix: str, tmp_path: Path
) -> None:
    before = written(tmp_path, name)
    old, new = tags(before), tags(rewritten(before, suffix))
    layout = {
        "ImageWidth",
        "ImageHeight",
        "BitsPerSample",
        "Compression",
        "SampleFormat",
        "PhotometricInterpretation",
        "SamplesPerPixel",
        "PlanarConfiguration",
        "XResolution",
        "YResolution",
        "ResolutionUnit",
        "YCbCrPositioning",
        "TileWidth",
        "TileLength",
    }
    # Where EXIF says Adobe RGB, other formats get a profile.
    others = OWN if name.endswith("all") else OWN | {"ICC_Profile"}

    def photograph(found: dict[str, Any]) -> dict[str, Any]:
        return {
            key: value
            for key, value in found.items()
            if key.partition(":")[0] not in others
            and key.partition(":")[2] not in layout
        }

    assert photograph(new) == photograph(old)


@pytest.mark.parametrize("source", ["jpg", "png", "webp", "tif", "avif"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif", ".tif"])
def test_no_resolution_and_no_color_space_is_invented(
    source: str, suffix: str, tmp_path: Path
) -> None:
    before = written(tmp_path, f"{source} bare")
    if suffix == before.suffix:
        return
    found = tags(rewritten(before, suffix))
    exif_tags = {key for key in found if key.startswith("EXIF:")}
    if suffix != ".tif":
        assert exif_tags == set()
    assert not {"EXIF:ColorSpace", "EXIF:XResolution", "PNG:PixelsPerUnitX"} & set(
        found
    )
    assert found.get("JFIF:ResolutionUnit", 0) == 0


def test_resolution_of_a_webp_stays(tmp_path: Path) -> None:
    block = Image.Exif()
    block[282], block[283], block[296] = 300.0, 300.0, 2
    path = tmp_path / "before.webp"
    Image.fromarray(pixels()).save(path, exif=block.tobytes(), lossless=True)
    assert tags(rewritten(path))["EXIF:XResolution"] == 300


def test_orientation_is_reset_where_pixels_are_turned(tmp_path: Path) -> None:
    block = Image.Exif()
    block[274], block[271] = 6, "Maker"
    for suffix in (".png", ".webp"):
        path = tmp_path / f"before{suffix}"
        Image.fromarray(pixels()).save(path, exif=block.tobytes(), lossless=True)
        after = rewritten(path)
        with Image.open(after) as seen:
            assert seen.size == (40, 56)
            assert seen.getexif()[274] == 1
            assert seen.getexif()[271] == "Maker"


def test_bytes_of_exif_are_those_of_the_file() -> None:
    buffer = io.BytesIO()
    Image.fromarray(pixels()).save(buffer, "PNG", exif=exif())
    photo = files.read_photo(buffer.getvalue())
    for suffix in (".png", ".webp", ".avif", ".jpg"):
        assert exif()[6:] in files.encode_photo(photo, suffix)
