"""Curves written, read back, and refused when a file is broken.

What other programs make of the files is in `test_curves_interop.py`.
"""

import io
import json
import struct
import warnings
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imharmony import curve_files
from imharmony.curve_files.acv import (
    MAX_POINTS,
    MIN_GAP,
    from_acv,
    natural_spline,
    to_acv,
)
from imharmony.curve_files.cube import ROWS, from_cube, to_cube
from imharmony.curve_files.files import Record, read_curves, write_curves
from imharmony.curve_files.hald import from_hald, to_hald
from imharmony.curve_files.record import MAX_KNOTS, from_json, to_json
from imharmony.curve_files.tables import HALD_SIZES
from imharmony.curves import Curves
from imharmony.errors import (
    CurveError,
    DecodeError,
    HarmonizeError,
    HarmonizeWarning,
    ImageError,
    UsageError,
)
from imharmony.images import files, photo

Array = npt.NDArray[np.floating[Any]]

MALFORMED = Path(__file__).parent / "malformed"
LEVELS = np.stack([np.arange(256) / 255] * 3, axis=-1)
FINE = np.stack([np.linspace(0, 1, 10_001)] * 3, axis=-1)

# Absolute tolerances, in steps of 1/255.
STEPS = {
    # 4096 rows: two slopes that differ by 8 meet inside a row: 8 / 4095 / 4 of 1.
    "cube": 255 * 8 / 4095 / 4,
    # 16 whole-numbered points; measured on smooth curves, 1.1 at most.
    "acv": 2.0,
    # 16-bit rounding, half a step of 65535.
    "hald node": 0.5 * 255 / 65535 + 1e-9,
}

law = settings(deadline=None, max_examples=50)

any_curves = (
    st.sampled_from([1, 2, 5, 64])
    .flatmap(lambda K: hnp.arrays(np.float64, (3, K), elements=st.floats(0.125, 4)))
    .map(Curves.from_params)
)


def hand_made(*knots: tuple[float, float]) -> Curves:
    x, y = np.array(knots).T
    return Curves((x, x, x), (y, y, y))


def smooth() -> Curves:
    """Three different curves like those that networks predict: steep at both ends."""
    t = np.linspace(0, 1, 64)
    slopes = [
        a + b * np.exp(-12 * t) + c * np.exp(-9 * (1 - t))
        for a, b, c in ((0.6, 0.8, 1.2), (0.8, 0.5, 0.4), (1.0, -0.3, 0.5))
    ]
    return Curves.from_params(np.array(slopes))


def off(read: Curves, written: Curves, at: Array = LEVELS) -> float:
    """Largest distance in steps of 1/255."""
    return float(255 * np.abs(read(at) - np.clip(written(at), 0, 1)).max())


# JSON


@law
@given(curves=any_curves, stage=any_curves, strength=st.floats(0, 4))
def test_json_round_trip_is_exact(
    curves: Curves, stage: Curves, strength: float
) -> None:
    record = Record(curves, (stage, curves), "food", strength, "s2crnet-cs", "ab12")
    assert from_json(to_json(record), name="look.json") == record


def test_json_holds_curves_that_leave_the_range_and_turn_back() -> None:
    record = Record(hand_made((0, 0.1), (0.3, 1.4), (0.7, -0.2), (1, 0.9)))
    assert from_json(to_json(record), name="look.json") == record


def test_json_has_one_knot_a_line() -> None:
    lines = to_json(Record(hand_made((0, 0), (0.1, 0.3), (1, 1)))).splitlines()
    assert lines.count("   [0.1, 0.3],") == 3


def test_json_text_is_kept_as_it_is() -> None:
    record = Record(Curves.identity(), model="[\n 1,\n 2\n] ümlaut \u2028")
    assert from_json(to_json(record), name="look.json").model == record.model


def test_json_without_origin_is_only_curves() -> None:
    channel = [[0, 0], [1, 1]]
    document = {
        "format": "imharmony-curves",
        "version": 1,
        "curves": {"red": channel, "green": channel, "blue": channel},
        "from a later version": [None],
    }
    read = from_json(json.dumps(document), name="look.json")
    assert read == Record(Curves.identity())


def test_json_refuses_more_knots_than_it_reads() -> None:
    x = np.linspace(0, 1, MAX_KNOTS + 1)
    with pytest.raises(CurveError, match=r"at most 4096 knots .*, got 4097 up to 1$"):
        to_json(Record(Curves((x, x, x), (x, x, x))))


# .cube


def test_cube_rows_are_red_green_blue() -> None:
    red, green, blue = (np.array([0.0, y, 1.0]) for y in (0.1, 0.5, 0.9))
    x = np.array([0, 1 / 3, 1.0])
    lines = to_cube(Curves((x, x, x), (red, green, blue))).splitlines()
    assert lines[1] == "LUT_1D_SIZE 4096"
    rows = lines[2:]
    assert len(rows) == ROWS
    assert rows[0] == "0.000000 0.000000 0.000000"
    assert rows[1365] == "0.100000 0.500000 0.900000"  # 1365 / 4095 = 1 / 3
    assert rows[4095] == "1.000000 1.000000 1.000000"


def test_cube_in_3d_has_red_change_fastest() -> None:
    x = np.array([0.0, 1.0])
    heights = (np.array([0.1, 0.2]), np.array([0.3, 0.4]), np.array([0.5, 0.6]))
    rows = to_cube(Curves((x, x, x), heights), size=2).splitlines()[2:]
    expected = [(r, g, b) for b in (5, 6) for g in (3, 4) for r in (1, 2)]
    assert rows == [f"0.{r}00000 0.{g}00000 0.{b}00000" for r, g, b in expected]


@law
@given(curves=any_curves)
def test_cube_round_trip_is_within_a_row(curves: Curves) -> None:
    read = from_cube(to_cube(curves), name="look.cube")
    jump = max(
        np.abs(np.diff(np.diff(y) / np.diff(x))).max(initial=0)
        for x, y in zip(curves.knots_x, curves.knots_y, strict=True)
    )
    # Half of the last decimal, and what a bend in the middle of a row costs.
    assert off(read, curves, FINE) <= 255 * (jump / 4095 / 4 + 0.5e-6) + 1e-9


@pytest.mark.parametrize("size", [2, 33, 65])
def test_cube_in_3d_is_exact_at_its_samples(size: int) -> None:
    read = from_cube(to_cube(smooth(), size=size), name="look.cube")
    samples = np.stack([np.arange(size) / (size - 1)] * 3, axis=-1)
    assert off(read, smooth(), samples) <= 255 * 0.5e-6 + 1e-9


def test_cube_clips_to_the_range() -> None:
    read = from_cube(to_cube(hand_made((0, -0.5), (1, 1.5)), size=2), name="look.cube")
    assert read.knots_y[0].tolist() == [0, 1]


def test_cube_of_another_program() -> None:
    text = (
        '\ufeff# made elsewhere\r\nTITLE "Look"\r\nDOMAIN_MIN 0.0 0 0\r\n'
        "DOMAIN_MAX 1 1. 1e0\r\n\r\nLUT_1D_SIZE  3\r\nLUT_1D_INPUT_RANGE 0 1.0\r\n"
        "0 0 0\r\n  .5\t0.25 +75e-2\r\n# middle\r\n1 1 1.5"
    )
    read = curve_files.read_record(text.encode(), name="look.cube").curves
    assert [y[1:].tolist() for y in read.knots_y] == [[0.5, 1], [0.25, 1], [0.75, 1.5]]


def test_long_cube_is_resampled() -> None:
    rows = "\n".join(f"{v / 65535:.9f} 0 0" for v in range(65536))
    read = from_cube(f"LUT_1D_SIZE 65536\n{rows}\n", name="look.cube")
    assert len(read.knots_x[0]) == ROWS
    assert np.abs(read.knots_y[0] - read.knots_x[0]).max() < 1e-8


def test_nearly_separate_table_is_read() -> None:
    # A HaldCLUT of 8 bit: rounding moves equal heights one step apart.
    samples = np.zeros((2, 2, 2, 3))
    samples[..., 0] = [0.2, 0.8]
    samples[0, 0, 0, 0] += 1 / 255
    rows = "\n".join("{} {} {}".format(*row) for row in samples.reshape(-1, 3))
    read = from_cube(f"LUT_3D_SIZE 2\n{rows}\n", name="look.cube")
    np.testing.assert_allclose(read.knots_y[0], [0.2 + 0.5 / 255, 0.8])


@pytest.mark.parametrize("size", [1, 0, -3, 66, 10**9])
def test_cube_size_that_does_not_exist(size: int) -> None:
    message = f"size: a 3D .cube has 2 to 65 samples, got {size}"
    with pytest.raises(UsageError, match=f"^{message}$"):
        to_cube(Curves.identity(), size=size)


# HaldCLUT


def test_hald_is_a_16_bit_picture_with_red_along_the_rows() -> None:
    curves = hand_made((0, 0), (1 / 3, 0.5), (1, 1))
    picture = photo.to_array(files.read_photo(to_hald(curves, size=4)))
    assert picture.shape == (8, 8, 3)
    assert picture.dtype == np.uint16
    # 0, 1/2, 3/4 and 1 of 65535; a row of pixels holds 4 reds for 2 greens.
    assert picture[0, :4, 0].tolist() == [0, 32768, 49151, 65535]
    assert picture[0, ::4, 1].tolist() == [0, 32768]
    assert picture[1, ::4, 1].tolist() == [49151, 65535]
    assert picture[::2, 0, 2].tolist() == [0, 32768, 49151, 65535]


@pytest.mark.parametrize("size", [4, 64, 144])
def test_hald_is_exact_at_its_samples(size: int) -> None:
    read = from_hald(to_hald(smooth(), size=size), name="look.png")
    samples = np.stack([np.arange(size) / (size - 1)] * 3, axis=-1)
    assert off(read, smooth(), samples) <= STEPS["hald node"]


def test_hald_of_8_bit_with_alpha_is_read() -> None:
    wide = photo.to_array(files.read_photo(to_hald(Curves.identity(), size=16)))
    narrow = np.concatenate([wide // 257, np.full_like(wide[..., :1], 255)], axis=-1)
    picture = photo.from_array(narrow.astype(np.uint8))
    read = from_hald(files.encode_photo(picture, ".png"), name="look.png")
    assert read.knots_y[0].tolist() == [17 * v / 255 for v in range(16)]


def test_hald_sizes_are_the_squares_up_to_8_bit() -> None:
    assert HALD_SIZES[0] == 4
    assert HALD_SIZES[-1] == 256
    assert all(int(size**0.5) ** 2 == size for size in HALD_SIZES)


def test_hald_size_that_does_not_exist() -> None:
    with pytest.raises(UsageError, match=r"has 4, 9, 16, .*, 256 samples, got 33$"):
        to_hald(Curves.identity(), size=33)


# .acv


def test_spline_through_three_points_worked_by_hand() -> None:
    # Points (0, 0), (1, 1), (2, 0). At both ends the second derivative is 0; in the
    # middle it is m with 4 m = 6 (-1 - 1), so m = -3. On [0, 1] the spline is
    # 1.5 t - 0.5 t^3.
    t = np.array([0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0])
    values = natural_spline(np.array([[0.0, 1, 2]]), np.array([[0.0, 1, 0]]), t)
    expected = [0, 0.3671875, 0.6875, 1, 0.6875, 0, 0]
    np.testing.assert_allclose(values[0], expected, rtol=0, atol=1e-15)


@law
@given(
    x=st.lists(st.integers(0, 255), min_size=3, max_size=16, unique=True).map(sorted),
    data=st.data(),
)
def test_spline_is_smooth_at_its_points(x: list[int], data: st.DataObject) -> None:
    y = data.draw(st.lists(st.integers(0, 255), min_size=len(x), max_size=len(x)))
    points_x, points_y = np.array([x, y], np.float64)[:, np.newaxis]
    h = 1e-3
    around = np.array(x[1:-1])[:, np.newaxis] + h * np.arange(-2, 3)
    values = natural_spline(points_x, points_y, around.ravel())[0].reshape(-1, 5)
    np.testing.assert_allclose(values[:, 2], y[1:-1], atol=1e-9)
    before, after = np.diff(values, 2)[:, [0, 2]].T / h**2
    np.testing.assert_allclose(before, after, rtol=0.02, atol=0.3)


def test_acv_bytes_worked_by_hand() -> None:
    # Version 4, 5 curves; each: number of points, then output and input of each.
    straight = (2, 0, 0, 255, 255)
    lifted = (2, 51, 0, 255, 255)
    words = (4, 5, *straight, *lifted * 3, *straight)
    assert to_acv(hand_made((0, 0.2), (1, 1))) == struct.pack(">27H", *words)


def test_acv_is_read_channel_by_channel() -> None:
    straight, flat = (2, 0, 0, 255, 255), (2, 51, 0, 51, 255)
    peak = (3, 0, 0, 255, 127, 0, 254)
    data = struct.pack(">29H", 4, 5, *straight, *flat, *straight, *peak, *straight)
    read = from_acv(data, name="look.acv")
    red, green, blue = read(np.array([[0.5] * 3, [127 / 255] * 3])).T
    assert red.tolist() == [0.2, 0.2]
    np.testing.assert_allclose(green, [0.5, 127 / 255], atol=1e-12)
    assert blue[1] == 1
    assert read(np.ones(3))[2] == 0  # constant after the last point


def test_acv_master_curve_comes_last() -> None:
    straight, lifted = (2, 0, 0, 255, 255), (2, 102, 0, 255, 255)
    inverted = (2, 255, 0, 0, 255)
    data = struct.pack(">22H", 4, 4, *inverted, *lifted, *straight, *straight)
    read = from_acv(data, name="look.acv")
    # Lifted first, 0 -> 0.4, then inverted, 0.4 -> 0.6.
    np.testing.assert_allclose(read(np.zeros(3)), [0.6, 1, 1], atol=1e-12)


def test_acv_with_one_curve_is_for_all_channels() -> None:
    data = struct.pack(">7H", 4, 1, 2, 255, 0, 0, 255)
    read = from_acv(data, name="look.acv")
    np.testing.assert_allclose(read(np.zeros(3)), [1, 1, 1])


def test_acv_costs_what_the_documents_say() -> None:
    assert off(from_acv(to_acv(smooth()), name="look.acv"), smooth()) < STEPS["acv"]


def points_of(data: bytes) -> list[list[tuple[int, int]]]:
    """Read the (input, output) points of all curves of an .acv, independently."""
    file = io.BytesIO(data)
    _, count = struct.unpack(">2H", file.read(4))
    curves = []
    for _ in range(count):
        (num_points,) = struct.unpack(">H", file.read(2))
        pairs = [struct.unpack(">2H", file.read(4)) for _ in range(num_points)]
        curves.append([(x, y) for y, x in pairs])
    assert file.read() == b""
    return curves


@settings(deadline=None, max_examples=5)
@given(curves=any_curves)
def test_acv_is_one_that_photoshop_can_show(curves: Curves) -> None:
    for points in points_of(to_acv(curves)):
        x, y = zip(*points, strict=True)
        assert 2 <= len(points) <= MAX_POINTS
        assert (x[0], x[-1]) == (0, 255)
        assert min(np.diff(x)) >= MIN_GAP
        assert 0 <= min(y) <= max(y) <= 255


def test_acv_has_no_more_points_than_a_line_needs() -> None:
    counts = [len(points) for points in points_of(to_acv(hand_made((0, 0), (1, 0.5))))]
    assert counts == [2, 2, 2, 2, 2]


def test_points_of_an_acv_are_where_the_curve_bends() -> None:
    x = np.linspace(0, 1, 256)
    curves = hand_made(*zip(x, x**0.6, strict=True))
    even = np.linspace(0, 255, 16)[np.newaxis]  # the same number, spread evenly
    heights = (255 * (even / 255) ** 0.6).round()
    spread = natural_spline(even, heights, np.arange(256.0))[0]
    worst = np.abs(spread - 255 * x**0.6).max()
    assert off(from_acv(to_acv(curves), name="look.acv"), curves) < worst / 3


# Whatever the kind


@pytest.mark.parametrize(
    ("name", "options", "steps"),
    [
        ("look.json", {}, 0),
        ("look.cube", {}, STEPS["cube"]),
        ("look.cube", {"size": 65}, 1e-3),
        ("look.acv", {}, STEPS["acv"]),
        ("look.png", {"kind": "hald"}, 1.0),
    ],
    ids=["json", "cube", "cube 3D", "acv", "hald"],
)
def test_saved_curves_load_again(
    name: str, options: dict[str, Any], steps: float, tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HarmonizeWarning)
        write_curves(smooth(), tmp_path / name, **options)
    assert off(read_curves(tmp_path / name), smooth()) <= steps


@pytest.mark.parametrize("kind", ["json", "cube", "acv", "hald"])
def test_same_curves_are_the_same_bytes(kind: str) -> None:
    record = Record(hand_made((0, 0), (0.3, 0.5), (1, 1)))
    once, again = (curve_files.encode(record, kind) for _ in range(2))
    assert once == again


@pytest.mark.parametrize("kind", ["json", "cube", "acv", "hald"])
def test_content_says_the_kind_where_the_name_does_not(kind: str) -> None:
    data = curve_files.encode(Record(Curves.identity()), kind)
    assert (
        off(curve_files.read_record(data).curves, Curves.identity())
        <= STEPS["hald node"]
    )


def test_kind_that_does_not_fit_the_extension() -> None:
    message = r"^look.cube: expected an extension of .png, got '.cube'$"
    with pytest.raises(UsageError, match=message):
        curve_files.choose_kind(Path("look.cube"), kind="hald")


def test_unknown_extension(tmp_path: Path) -> None:
    message = r"expected an extension of .json, .cube, .acv, .png, .svg, got '.lut'$"
    with pytest.raises(UsageError, match=message):
        write_curves(smooth(), tmp_path / "look.lut")


def test_unknown_kind() -> None:
    message = r"^kind is one of json, cube, acv, plot, hald, got 'lut'$"
    with pytest.raises(UsageError, match=message):
        curve_files.choose_kind(Path("look.png"), kind="lut")


@pytest.mark.parametrize("name", ["look.json", "look.acv", "look.svg"])
def test_size_where_there_is_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^size applies to .cube and HaldCLUT files"):
        write_curves(smooth(), tmp_path / name, size=33)
    assert not (tmp_path / name).exists()


def test_existing_file_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "look.json"
    target.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        write_curves(smooth(), target)
    assert target.read_text() == "mine"
    write_curves(smooth(), target, overwrite=True)
    assert read_curves(target) == smooth()


def test_visible_cost_is_announced(tmp_path: Path) -> None:
    # Between two samples 1/2 apart, the curve is 0.9 high and the table 0.5.
    curves = hand_made((0, 0), (0.25, 0.9), (0.5, 1), (1, 1))
    message = r"look.cube: up to 10\d\.\d of 255 away .*; a larger size is closer$"
    with pytest.warns(HarmonizeWarning, match=message):
        write_curves(curves, tmp_path / "look.cube", size=3)


def test_cost_of_few_points_is_announced(tmp_path: Path) -> None:
    heights = np.linspace(0, 1, 41) + 0.05 * (np.arange(41) % 2)
    curves = hand_made(*zip(np.linspace(0, 1, 41), heights, strict=True))
    message = r"look.acv: up to .* the format has 16 points per channel$"
    with pytest.warns(HarmonizeWarning, match=message):
        write_curves(curves, tmp_path / "look.acv")


# Broken files

DEEP = b'{"format": ' + b"[" * 100_000
LONG_NUMBER = b'{"version": ' + b"9" * 10_000 + b"}"

MESSAGES = {
    "truncated.json": "line 10: expected JSON, but expecting ',' delimiter",
    "trailing.json": "line 24: expected JSON, but extra data",
    "list.json": ": expected an object, got [1, 2]",
    "other-format.json": ": format: expected 'imharmony-curves', got 'lut'",
    "newer-version.json": ": version: expected 1, got 2",
    "no-curves.json": ": curves: expected red, green and blue, got None",
    "no-blue.json": ": curves.blue: expected 2 to 4096 knots, got None",
    "nan.json": ": curves.red.1: expected [x, y], numbers up to 1e+06, got [0.5, nan]",
    "infinite.json": ": curves.red.1: expected [x, y]",
    "text-knot.json": ": curves.red.1: expected [x, y]",
    "three-numbers.json": ": curves.red.1: expected [x, y]",
    "truth-knot.json": ": curves.red.1: expected [x, y]",
    "falling.json": ": curves.green.2: green channel: expected knots_x to rise",
    "late-start.json": ": curves.red.0: red channel: expected knots_x from 0",
    "early-end.json": ": curves.red.2: red channel: expected knots_x from 0",
    "one-knot.json": ": curves.red: expected 2 to 4096 knots, got 1",
    "negative-strength.json": ": strength: expected a number from 0, got -1",
    "label-number.json": ": label: expected text or null, got 7",
    "broken-stage.json": ": stages.0.red: expected 2 to 4096 knots, got 1",
    "latin-1.json": "line 4: expected text in UTF-8, got the byte 0xf6",
    "utf-16.json": "line 1: expected text in UTF-8, got the byte 0xff",
    "no-size.cube": "line 2: expected LUT_1D_SIZE or LUT_3D_SIZE, got neither",
    "row-first.cube": "line 2: expected LUT_1D_SIZE or LUT_3D_SIZE first, got '0 0 0'",
    "few-rows.cube": "line 3: expected 3 rows, got 2 at the end of the file",
    "many-rows.cube": "line 4: expected 2 rows, got more",
    "two-numbers.cube": "line 3: expected three numbers or a keyword, got '1 1'",
    "four-numbers.cube": "line 2: expected three numbers or a keyword",
    "nan.cube": "line 3: expected three numbers or a keyword, got '1 nan 1'",
    "infinite.cube": "line 3: expected numbers up to 1e+06, got '1 1e999 1'",
    "underscore.cube": "line 3: expected three numbers or a keyword, got '1 1_0 1'",
    "comma.cube": "line 3: expected three numbers or a keyword, got '1 0,5 1'",
    "huge-3d.cube": "line 1: expected a LUT_3D_SIZE of 2 to 65",
    "huge-1d.cube": "line 1: expected a LUT_1D_SIZE of 2 to 65536",
    "size-one.cube": "line 1: expected a LUT_1D_SIZE of 2 to 65536",
    "size-text.cube": "line 1: expected a LUT_3D_SIZE of 2 to 65",
    "no-size-number.cube": "line 1: expected a LUT_3D_SIZE of 2 to 65",
    "both.cube": "line 2: expected one table, got a second one, 'LUT_3D_SIZE 2'",
    "wide-domain.cube": "line 3: expected DOMAIN_MAX 1 1 1",
    "nan-domain.cube": "line 2: expected DOMAIN_MIN 0 0 0",
    "short-domain.cube": "line 2: expected LUT_1D_INPUT_RANGE 0 1",
    "video-range.cube": "line 2: expected three numbers or a keyword",
    "binary.cube": "line 1: expected three numbers or a keyword",
    "swapped-channels.cube": "red depends on the others too, by up to 1 of the range",
    "empty.cube": "got 0 bytes",
    "version-1.acv": "expected a Photoshop curves file of version 4",
    "short.acv": "expected a Photoshop curves file of version 4",
    "header-only.acv": "byte 4: master curve: expected 2 to 19 points, got the end",
    "odd.acv": "byte 4: master curve: expected 2 points, got the end of the file",
    "cut-in-points.acv": "byte 24: green curve: expected 3 points, got the end",
    "one-point.acv": "byte 14: red curve: expected 2 to 19 points, got 1",
    "many-points.acv": "byte 14: red curve: expected 2 to 19 points, got 20",
    "falling.acv": "byte 14: red curve: expected points from 0 to 255 whose inputs",
    "beyond-255.acv": "byte 14: red curve: expected points from 0 to 255",
    "gray.png": "expected a HaldCLUT in RGB, got gray",
    "no-cube.png": "expected a HaldCLUT, whose sides are 8, 27, 64",
    "not-square.png": "got 8x27 (height x width)",
    "swapped-channels.png": "red depends on the others too, by up to 1 of the range",
    "truncated.png": "the PNG data is damaged",
    "huge.png": "got 50653x50653 (height x width)",
    "notes.txt": "expected curves in a .json, .cube, .acv or HaldCLUT .png file",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_broken_file_is_named_with_place_and_reason(name: str) -> None:
    with pytest.raises(CurveError if name != "truncated.png" else DecodeError) as error:
        curve_files.read_record(MALFORMED / name)
    assert str(error.value).startswith(str(MALFORMED / name))
    assert MESSAGES[name] in str(error.value)


@pytest.mark.parametrize(
    "data",
    [
        b'TITLE "caf\xe9"\nLUT_1D_SIZE 2\n0 0 0\n# fertig: \xfc\n1 1 1\n',
        '\ufeffTITLE "Größe"\nLUT_1D_SIZE 2\n0 0 0\n1 1 1\n'.encode(),
        b"LUT_1D_SIZE 2\r\n0 0 0\r\n1 1 1\r\n\x1a",
    ],
    ids=["latin-1", "utf-8", "ctrl-z"],
)
def test_cube_with_words_in_any_encoding_is_read(data: bytes) -> None:
    assert curve_files.read_record(data, name="look.cube").curves.is_identity


def test_every_broken_file_is_tried() -> None:
    assert {path.name for path in MALFORMED.iterdir()} == MESSAGES.keys()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DEEP, "look.json: expected curves, got JSON too deep"),
        (LONG_NUMBER, "look.json: expected JSON numbers, Exceeds the limit"),
        (b" " * (2**22 + 1), "look.json: expected at most 4194304 bytes of json"),
        (b"\0\4" + b"\0" * 2**16, "look.json: expected at most 65536 bytes of acv"),
    ],
    ids=["deep", "long number", "long JSON", "long .acv"],
)
def test_what_would_exhaust_something_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(CurveError) as error:
        curve_files.read_record(data, name="look.json")
    assert str(error.value).startswith(message)


def test_no_more_is_read_than_can_be_used() -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            assert 0 < size <= 2**27 + 1
            return b"{"

    assert curve_files.read_bytes(Endless()) == b"{"  # type: ignore[arg-type]


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match=r"look.json: no such file$"):
        read_curves(tmp_path / "look.json")


def test_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="cannot be read"):
        read_curves(tmp_path)


# Fuzzing: whatever the bytes, curves that can be used or one of our errors


def check(data: bytes, name: str) -> None:
    try:
        curves = curve_files.read_record(data, name=name).curves
    except (CurveError, DecodeError, ImageError):
        return
    assert curves.table(np.uint8).shape == (3, 256)
    assert np.isfinite(curves.blend(0.5)(FINE)).all()


names = st.sampled_from(["a.json", "a.cube", "a.acv", "a.png", "a"])
fuzz = settings(deadline=None, max_examples=150)


@fuzz
@given(data=st.binary(max_size=200), name=names)
@example(data=b"\x89PNG\r\n\x1a\n", name="a")
@example(data=b"\0\4", name="a")
@example(data=b"\0\4\0\1", name="a")
def test_random_bytes(data: bytes, name: str) -> None:
    check(data, name)


SIZES = {"json": None, "cube": 2, "acv": None, "hald": 4}
WHOLE = {
    kind: curve_files.encode(
        Record(hand_made((0, 0), (0.5, 0.7), (1, 1))), kind, size=n
    )
    for kind, n in SIZES.items()
}


@fuzz
@given(kind=st.sampled_from(sorted(WHOLE)), data=st.data())
def test_damaged_files(kind: str, data: st.DataObject) -> None:
    whole = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(whole)))
        end = data.draw(st.integers(start, min(len(whole), start + 8)))
        whole[start:end] = data.draw(st.binary(max_size=8))
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, len(whole))) :]
    check(bytes(whole), "a")


numbers = st.sampled_from(
    ["0", "1", "-1", ".5", "1e5", "1e9", "1e-320", "nan", "inf", "0x1", "1_0", "٣", "-"]
)
words = numbers | st.sampled_from(
    ["LUT_1D_SIZE", "LUT_3D_SIZE", "TITLE", "DOMAIN_MIN", "DOMAIN_MAX", "#", "2", "3"]
)
lines = st.lists(words, max_size=4).map(" ".join)


@fuzz
@given(
    head=st.sampled_from(["LUT_1D_SIZE 2", "LUT_3D_SIZE 2", ""]),
    body=st.lists(lines, max_size=10),
    end=st.sampled_from(["\n", "\r\n", "\r", "\x0b"]),
)
def test_lines_of_a_cube(head: str, body: list[str], end: str) -> None:
    check(end.join([head, *body]).encode(), "a.cube")


heights = st.floats() | st.integers() | st.booleans() | st.none() | st.text(max_size=3)
values = st.recursive(heights, lambda inner: st.lists(inner, max_size=3), max_leaves=6)
knots = st.lists(st.lists(heights, max_size=3) | values, max_size=4)
channels = st.dictionaries(
    st.sampled_from(["red", "green", "blue", "more"]), knots | values
)


@fuzz
@given(
    curves=channels | values,
    stages=st.lists(channels | values, max_size=2) | values,
    strength=heights,
    label=heights,
)
@example(curves={}, stages=[], strength=10**400, label=None)
def test_values_of_a_json(curves: Any, stages: Any, strength: Any, label: Any) -> None:
    good = [[0.0, 0.1], [1.0, 0.9]]
    if isinstance(curves, dict):
        curves = {"red": good, "green": good, "blue": good} | curves
    document = {
        "format": "imharmony-curves",
        "version": 1,
        "curves": curves,
        "stages": stages,
        "strength": strength,
        "label": label,
    }
    check(json.dumps(document).encode(), "a.json")


def test_our_errors_are_what_the_command_line_expects() -> None:
    assert issubclass(CurveError, HarmonizeError)
