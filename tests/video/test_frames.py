"""One decoded frame: recolored where the mask is, and the rest left alone."""

import av
import numpy as np
import pytest

from imharmony.curves import Curves
from imharmony.curves.smoothing import from_heights, to_heights
from imharmony.errors import ImageError
from imharmony.images import photo
from imharmony.video.frames import (
    ClipFrame,
    check_pixel_format,
    from_pixels,
    to_pixels,
)
from tests.video.clips import Pixels, disc, scene

BRIGHTER = from_heights(to_heights(Curves.identity()) ** 0.7)
FORMATS = (
    *("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "nv12", "yuv410p", "yuva420p"),
    *("yuv420p10le", "yuv422p10le", "yuv444p12le", "p010le", "yuva444p10le"),
    *("gbrp", "gbrp10le", "rgb24", "bgr0", "bgra", "rgba", "rgb48le"),
)

# Mean 8-bit steps over smooth pixels: rounding to 8 bit twice, and chroma shared by
# four pixels. Seen: 1.1 for yuv410p, whose chroma is shared by sixteen; 0.8 otherwise.
CLOSE = 1.5


def frame_of(name: str) -> av.VideoFrame:
    deep = max(part.bits for part in av.VideoFormat(name).components) > 8
    dtype, top = (np.uint16, 65535) if deep else (np.uint8, 255)
    like = av.VideoFrame(16, 16, "yuv420p")
    like.colorspace, like.color_range = 1, 2 if name.startswith("yuvj") else 1
    return from_pixels(np.rint(scene() * top).astype(dtype), like, name)


def planes(frame: av.VideoFrame) -> list[bytes]:
    return [bytes(plane) for plane in frame.planes]


def as_floats(frame: av.VideoFrame) -> Pixels:
    pixels = to_pixels(frame)[..., :3]
    values: Pixels = pixels / np.iinfo(pixels.dtype).max
    return values


@pytest.mark.parametrize("name", FORMATS)
def test_every_pixel_format_is_recolored_as_rgb_would_be(name: str) -> None:
    mask = np.rint(255 * disc()).astype(np.uint8)
    frame = frame_of(name)
    before = as_floats(frame)
    after = as_floats(
        ClipFrame(frame, 0.0).recolor(photo.from_array(mask), BRIGHTER).native
    )
    inside, outside = mask == 255, mask == 0
    expected = BRIGHTER(before[inside])
    assert 255 * np.abs(after[inside] - expected).mean() < CLOSE
    assert 255 * np.abs(after[inside] - before[inside]).mean() > 10
    # Chroma of blocks that the mask's edge crosses changes; no other.
    assert 255 * np.abs(after[outside] - before[outside]).mean() < 0.5


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le", "nv12", "gbrp", "rgb24"])
def test_planes_outside_the_mask_stay_bit_for_bit(name: str) -> None:
    mask = np.zeros((64, 96), np.uint8)
    mask[20:40, 30:60] = 255  # whole chroma samples
    frame = frame_of(name)
    before = as_floats(frame)
    recolored = ClipFrame(frame, 0.0).recolor(photo.from_array(mask), BRIGHTER)
    after = as_floats(recolored.native)
    far = np.ones_like(mask, bool)
    far[16:44, 26:64] = False  # where converting to RGB mixes chroma
    np.testing.assert_array_equal(after[far], before[far])


@pytest.mark.parametrize("name", ["yuva420p", "yuva444p10le", "rgba"])
def test_alpha_is_left_alone(name: str) -> None:
    mask = np.full((64, 96), 255, np.uint8)
    frame = frame_of(name)
    before = to_pixels(frame)[..., 3].copy()
    after = ClipFrame(frame, 0.0).recolor(photo.from_array(mask), BRIGHTER).native
    np.testing.assert_array_equal(to_pixels(after)[..., 3], before)


def test_empty_mask_and_identity_change_nothing() -> None:
    frame = frame_of("yuv420p")
    before = planes(frame)
    nothing = photo.from_array(np.zeros((64, 96), np.uint8))
    ClipFrame(frame, 0.0).recolor(nothing, BRIGHTER)
    everything = photo.from_array(np.full((64, 96), 255, np.uint8))
    ClipFrame(frame, 0.0).recolor(everything, Curves.identity())
    assert planes(frame) == before


def test_matrix_of_the_tag_is_used() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    lumas = {}
    for number in (1, 6, 9):
        like = av.VideoFrame(16, 16, "yuv420p")
        like.colorspace, like.color_range = number, 1
        frame = from_pixels(red, like, "yuv420p")
        lumas[number] = bytes(frame.planes[0])[0]
        assert np.abs(to_pixels(frame).astype(int) - red).max() <= 2
    # 16 + 219 times the weight of red: BT.709, BT.601, BT.2020.
    expected = {1: 16 + 219 * 0.2126, 6: 16 + 219 * 0.299, 9: 16 + 219 * 0.2627}
    for number, luma in expected.items():
        assert abs(lumas[number] - luma) <= 1


@pytest.mark.parametrize("name", ["pal8", "monob", "rgb48be"])
def test_pixel_formats_of_another_layout_are_refused(name: str) -> None:
    with pytest.raises(ImageError, match=f"pixel format {name}"):
        check_pixel_format(name)
