"""What speed rests on, counted: passes over pixels, calls, memory. No times."""

import gc
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips

from imharmony.benchmark.cases import Case, make_inputs
from imharmony.benchmark.memory import STATUS, peak_mb
from imharmony.curves import Curves
from imharmony.default import harmonize
from imharmony.errors import ImageError, ShapeError, UsageError
from imharmony.harmonizer import Harmonizer
from imharmony.images import masks, photo
from imharmony.images import pixels as pixels_module
from imharmony.images.masks import mask_box, mask_from_array
from imharmony.images.photo import Box, from_array, to_array
from imharmony.inference import curve_network, request, thumbnails
from imharmony.inference.models import MODELS
from imharmony.inference.network import Network
from imharmony.rendering import render as render_module
from imharmony.rendering.render import render, render_into

Pixels = npt.NDArray[Any]

needs_proc = pytest.mark.skipif(not STATUS.exists(), reason="only Linux has /proc")

SIZE = 1536
BOX = Box(384, 512, 768, 512)  # a sixth of the frame; multiples of the tiles
BOX_SHARE = 1 / 6
# Filters reach over the box's rim into other tiles, headers are read again.
SLACK = 0.15
HEADERS = 0.01


@pytest.fixture(scope="session")
def harmonizer() -> Harmonizer:
    return Harmonizer(num_threads=1)


def scene(dtype: str = "uint8", num_channels: int = 3) -> Pixels:
    """Noise, with a darker and redder rectangle where the mask is."""
    rng = np.random.default_rng(0)
    values = 0.5 + 0.3 * rng.random((90, 120, num_channels))
    values[20:70, 30:80] *= np.linspace(0.7, 0.3, num_channels)
    full = 1 if dtype == "float32" else np.iinfo(dtype).max
    pixels: Pixels = (values * full).astype(dtype)
    return pixels


def soft_mask() -> Pixels:
    mask = np.zeros((90, 120), np.uint8)
    mask[20:70, 30:80] = 255
    mask[20:22] //= 2
    mask[40, 50] = 0  # a hole
    return mask


def changing() -> Curves:
    return Curves.from_params(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 3.0]]))


# Passes


class Counted:
    """A tiled, uncompressed TIFF that counts how often its bytes are read."""

    def __init__(self, pixels: Pixels) -> None:
        self.data = from_array(pixels).tiffsave_buffer(
            tile=True, tile_width=128, tile_height=128
        )
        self.position = self.num_read = 0
        self.source = pyvips.SourceCustom()
        self.source.on_read(self._read)
        self.source.on_seek(self._seek)
        self.image = photo.tag(pyvips.Image.tiffload_source(self.source))
        self.num_read = 0

    def _read(self, size: int) -> bytes:
        part: bytes = self.data[self.position : self.position + size]
        self.position += len(part)
        self.num_read += len(part)
        return part

    def _seek(self, offset: int, whence: int) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.position}
        self.position = start.get(whence, len(self.data)) + offset
        return self.position

    def passes(self, work: Callable[[], object]) -> float:
        """Bytes that some work reads, of all."""
        self.num_read = 0
        work()
        return self.num_read / len(self.data)


@pytest.fixture(autouse=True)
def nothing_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is opened from files be read as large photos are: piece by piece."""
    monkeypatch.setattr(pixels_module, "STREAM_BYTES", 0)


@pytest.fixture(scope="module")
def large() -> tuple[Pixels, Pixels]:
    composite = np.full((SIZE, SIZE, 3), [170, 180, 190], np.uint8)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    BOX.view(composite)[...] = [60, 30, 20]
    BOX.view(mask)[...] = 255
    return composite, mask


def test_box_of_a_mask_is_found_in_one_pass(large: tuple[Pixels, Pixels]) -> None:
    mask = Counted(large[1])
    assert mask.passes(lambda: mask_box(mask.image)) <= 1 + SLACK


@pytest.mark.parametrize(
    ("box", "num_passes"),
    [(Box(384, 512, 768, 640), 1), (Box(384, 512, 768, 512), 1 + 1 / 6)],
)
def test_thumbnails_read_the_photo_once_and_a_narrow_box_once_more(
    large: tuple[Pixels, Pixels], box: Box, num_passes: float
) -> None:
    composite = Counted(large[0])
    mask = np.zeros((SIZE, SIZE), np.uint8)
    box.view(mask)[...] = 255
    mask_image = mask_from_array(mask, size=(SIZE, SIZE))

    def shrink() -> None:
        thumbnails.make_thumbnails(
            composite.image, mask_image, size=(64, 64), contexts=(0, 0.3, 0.8), box=box
        )

    assert num_passes <= composite.passes(shrink) <= num_passes + SLACK


def test_thumbnails_read_the_photo_once_where_the_box_is_the_frame() -> None:
    composite = Counted(np.full((SIZE, SIZE, 3), 170, np.uint8))
    soft = np.full((SIZE, SIZE), 200, np.uint8)
    mask = mask_from_array(soft, size=(SIZE, SIZE))

    def shrink() -> None:
        thumbnails.make_thumbnails(
            composite.image, mask, size=(64, 64), contexts=(0, 0.3, 0.8)
        )

    assert composite.passes(shrink) <= 1 + SLACK


def test_thumbnails_read_only_the_box_of_the_mask(
    large: tuple[Pixels, Pixels],
) -> None:
    mask = Counted(large[1])
    image = from_array(large[0])

    def shrink() -> None:
        thumbnails.make_thumbnails(image, mask.image, size=(64, 64), box=BOX)

    assert mask.passes(shrink) <= 2 * BOX_SHARE + SLACK


def test_predicting_reads_the_mask_once_and_its_box_thrice_more(
    large: tuple[Pixels, Pixels], harmonizer: Harmonizer
) -> None:
    mask = Counted(large[1])
    image = from_array(large[0])
    predict = lambda: harmonizer.predict(image, mask.image)  # noqa: E731
    # Thumbnails of the whole and of the box, and the seam's rows and columns, which
    # together touch each of the box's tiles once.
    passes = mask.passes(predict)
    assert 1 + 2 * BOX_SHARE < passes <= 1 + 3 * BOX_SHARE + HEADERS


def test_rendering_into_an_array_reads_only_the_box(
    large: tuple[Pixels, Pixels],
) -> None:
    composite, mask = Counted(large[0]), Counted(large[1])
    out = large[0].copy()

    def work() -> None:
        render_into(out, composite.image, mask.image, changing(), box=BOX)

    assert composite.passes(work) <= BOX_SHARE + SLACK
    assert mask.passes(work) <= BOX_SHARE + SLACK


# Calls


def test_a_call_looks_for_the_box_and_runs_the_network_once(
    harmonizer: Harmonizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    def count(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def counted(*args: Any, **options: Any) -> Any:
            called.append(name)
            return original(*args, **options)

        monkeypatch.setattr(owner, name, counted)

    for owner in (masks, thumbnails, request):
        count(owner, "mask_box")
    count(Network, "predict")
    count(curve_network, "make_thumbnails")
    harmonizer(scene(), soft_mask())
    assert called == ["predict", "mask_box", "make_thumbnails"]


@pytest.mark.parametrize("num_channels", [1, 3])
def test_strips_share_one_table(
    num_channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, mask = scene("uint16", num_channels), soft_mask()
    image, mask_image = from_array(pixels), from_array(mask)
    asked: list[Curves] = []
    table = Curves.table

    def note(self: Curves, dtype: npt.DTypeLike) -> Any:
        asked.append(self)
        return table(self, dtype)

    monkeypatch.setattr(Curves, "table", note)
    monkeypatch.setattr(render_module, "_PART_BYTES", 1000)
    out = pixels.copy()
    render_into(out, image, mask_image, changing(), box=mask_box(mask_image))
    assert len(asked) == 1


# Memory


@needs_proc
def test_peak_memory_is_the_arrays_and_little_more() -> None:
    case = Case(2048, 8, 100, "soft")
    weights = MODELS["s2crnet-cs"]
    idle, peak = (
        peak_mb(case, work, weights=weights, num_threads=1)
        for work in ("idle", "arrays")
    )
    assert idle is not None
    assert peak is not None
    arrays_mb = 2048 * 2048 * (3 + 1 + 3) / 2**20  # 28: photo, mask, result
    # Without room for another picture of 12 MB. Seen: 28 + 4.
    assert peak - idle < arrays_mb + 11


@needs_proc
@pytest.mark.parametrize("num_calls", [150, pytest.param(1000, marks=pytest.mark.slow)])
def test_memory_stays_flat(num_calls: int, harmonizer: Harmonizer) -> None:
    composite, mask = scene(), soft_mask()
    for _ in range(100):  # libvips remembers up to 100 operations
        harmonizer(composite, mask)
    gc.collect()
    before = resident_mb()
    for _ in range(num_calls):
        harmonizer(composite, mask)
    gc.collect()
    # A single small photo or thumbnail kept per call would be 0.03 MB * 150 = 4.5.
    assert resident_mb() - before < 3


def resident_mb() -> float:
    return float(STATUS.read_text().split("VmRSS:")[1].split()[0]) / 1024


# The quick blend is the slow one


@pytest.mark.parametrize("strip_bytes", [1, 3000, 2**22])
@pytest.mark.parametrize("num_channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_rendering_into_an_array_is_rendering(
    dtype: str, num_channels: int, strip_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_module, "STRIP_BYTES", strip_bytes)
    monkeypatch.setattr(render_module, "_PART_BYTES", strip_bytes)
    pixels = scene(dtype, num_channels)
    mask = soft_mask()
    mask[30:60, 40:70] = np.random.default_rng(1).integers(0, 256, (30, 30))
    images = from_array(pixels), from_array(mask)
    expected = to_array(render(*images, changing()))
    out = pixels.copy()
    render_into(out, *images, changing(), box=mask_box(images[1]))
    np.testing.assert_array_equal(out, expected)
    assert (out != pixels).any()


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (7, 9)])
def test_boxes_with_an_odd_number_of_values_are_rendered(
    size: tuple[int, int], num_channels: int
) -> None:
    pixels, mask = scene("uint8", num_channels), np.zeros((90, 120), np.uint8)
    mask[20 : 20 + size[0], 31 : 31 + size[1]] = 200
    images = from_array(pixels), from_array(mask)
    out = pixels.copy()
    render_into(out, *images, changing(), box=mask_box(images[1]))
    np.testing.assert_array_equal(out, to_array(render(*images, changing())))


def test_sixteen_bit_and_float_masks_are_rounded_to_the_nearest_8_bit() -> None:
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.rint(every / 257).astype(np.uint8)
    floats = (every / 65535).astype(np.float64)
    for mask in (every, floats):
        found = to_array(mask_from_array(mask, size=(256, 256)))[..., 0]
        np.testing.assert_array_equal(found, expected)


def test_box_is_the_same_found_strip_by_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "_TILE_ROWS", 7)
    monkeypatch.setattr(masks, "STRIP_BYTES", 1)
    assert mask_box(from_array(soft_mask())) == Box(20, 30, 50, 50)


# Into an array that is there


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_out_gets_the_result_and_is_the_result(
    dtype: str, harmonizer: Harmonizer
) -> None:
    composite, mask = scene(dtype), soft_mask()
    out = np.zeros_like(composite)
    result = harmonizer(composite, mask, out=out)
    assert result.image is out
    np.testing.assert_array_equal(out, harmonizer(composite, mask).image)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_out_may_be_the_composite(dtype: str, harmonizer: Harmonizer) -> None:
    composite, mask = scene(dtype), soft_mask()
    expected = harmonizer(composite, mask)
    result = harmonizer(composite, mask, out=composite)
    np.testing.assert_array_equal(composite, expected.image)
    assert result.curves == expected.curves


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "float32"])
def test_out_may_lie_in_memory_in_any_order(dtype: str, harmonizer: Harmonizer) -> None:
    kind = np.dtype(dtype).newbyteorder("=")
    composite, mask = scene(kind.name).astype(dtype), soft_mask()
    out = np.zeros((3, 120, 90), dtype).T[:, ::-1]
    harmonizer(composite, mask, out=out)
    np.testing.assert_array_equal(out, harmonizer(composite, mask).image)


def test_out_of_an_empty_mask_is_the_composite(harmonizer: Harmonizer) -> None:
    composite = scene()
    out = np.zeros_like(composite)
    with pytest.warns(match="empty"):
        harmonizer(composite, np.zeros((90, 120), bool), out=out)
    np.testing.assert_array_equal(out, composite)


def test_plain_function_takes_out() -> None:
    composite, mask = scene(), soft_mask()
    out = np.zeros_like(composite)
    assert harmonize(composite, mask, out=out).image is out


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.zeros((90, 120, 4), np.uint8), ShapeError, r"^out: .*\(90, 120, 3\), got"),
        (np.zeros((90, 120, 3), np.uint16), ImageError, r"^out: .*uint8, got uint16$"),
    ],
)
def test_out_of_another_kind(
    out: Pixels, error: type[Exception], message: str, harmonizer: Harmonizer
) -> None:
    with pytest.raises(error, match=message):
        harmonizer(scene(), soft_mask(), out=out)


def test_out_that_cannot_be_written(harmonizer: Harmonizer) -> None:
    out = scene()
    out.setflags(write=False)
    with pytest.raises(
        UsageError, match=r"^out: expected an array that can be written"
    ):
        harmonizer(scene(), soft_mask(), out=out)


def test_out_that_overlaps_the_composite(harmonizer: Harmonizer) -> None:
    canvas = np.zeros((91, 120, 3), np.uint8)
    with pytest.raises(UsageError, match=r"^out: expected memory of its own"):
        harmonizer(canvas[:-1], soft_mask(), out=canvas[1:])


def test_out_beside_the_composite_on_one_canvas(harmonizer: Harmonizer) -> None:
    canvas = np.concatenate([scene(), np.zeros_like(scene())], axis=1)
    left, right = canvas[:, :120], canvas[:, 120:]
    harmonizer(left, soft_mask(), out=right)
    np.testing.assert_array_equal(left, scene())
    np.testing.assert_array_equal(right, harmonizer(scene(), soft_mask()).image)


def test_result_names_the_box(harmonizer: Harmonizer) -> None:
    assert harmonizer(scene(), soft_mask()).box == Box(20, 30, 50, 50)


def test_inputs_of_the_benchmark_need_a_change(harmonizer: Harmonizer) -> None:
    for case in (Case(128, 8, 25, "soft"), Case(128, 16, 100, "hard")):
        assert not harmonizer(*make_inputs(case)).curves.is_identity
