"""Averages, intervals, Markdown, published rows, tables per image, the page."""

import base64
import csv
import html.parser
import json
import math
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from imharmony.datasets.iharmony4 import PairFiles, find_pairs
from imharmony.errors import ImageError, UsageError
from imharmony.evaluation.methods.methods import BASELINES, collect_methods
from imharmony.evaluation.protocols.protocol import FULL, PROTOCOLS
from imharmony.evaluation.protocols.scene import Scene
from imharmony.evaluation.reports.interchange import COLUMNS, read_table, write_table
from imharmony.evaluation.reports.output import write_folder
from imharmony.evaluation.reports.report import rank_images, render_tiles, report
from imharmony.evaluation.reports.scoring import Score, score_pairs
from imharmony.evaluation.reports.statistics import (
    bootstrap_means,
    sign_flip_p,
    take_interval,
)
from imharmony.evaluation.reports.summary import (
    IHARMONY4_TEST,
    group_images,
    ratio_bin,
    summarize,
)
from imharmony.evaluation.reports.tables import (
    Grid,
    is_iharmony4,
    protocol_tables,
    read_published,
    to_markdown,
)
from imharmony.images import files, photo
from imharmony.writing import check_new_folder

# Double precision.
ROUNDING = 1e-9


def score(
    name: str = "c1_1_1",
    *,
    subset: str = "HCOCO",
    method: str = "composite",
    mse: float = 20.0,
    psnr: float = 30.0,
    ssim: float = 0.9,
    ratio: float = 0.1,
    protocol: str = "full",
) -> Score:
    return Score(
        protocol,
        method,
        subset,
        name,
        mse,
        psnr,
        10 * mse,
        0.3 * mse,
        ssim,
        height=100,
        width=200,
        mask_area=ratio * 20_000,
    )


# By hand: `ours` makes image b worse, in a set of three images of two sub-sets.
SCORES = [
    score("a", mse=20, psnr=30, ratio=0.05),
    score("a", mse=10, psnr=34, ratio=0.05, method="ours"),
    score("b", mse=20, psnr=31, ratio=0.06),
    score("b", mse=25, psnr=30, ratio=0.06, method="ours"),
    score("c", mse=20, psnr=38, ratio=0.5, subset="HFlickr"),
    score("c", mse=4, psnr=41, ratio=0.5, subset="HFlickr", method="ours"),
]


# Averages


def test_means_are_pooled_over_sub_sets() -> None:
    summary = summarize(SCORES)["all"]["ours"]
    assert summary.num_images == 3
    assert summary.mse.mean == pytest.approx((10 + 25 + 4) / 3)
    assert summary.psnr.mean == pytest.approx((34 + 30 + 41) / 3)
    assert summary.fmse.mean == pytest.approx((100 + 250 + 40) / 3)


def test_medians_are_those_of_the_images() -> None:
    summary = summarize(SCORES)["all"]["ours"]
    assert summary.median_mse == 10
    assert summary.median_psnr == 34
    assert summary.median_fmse == 100


def test_the_harm_rate_is_the_share_worse_than_the_composite() -> None:
    groups = summarize(SCORES)
    assert groups["all"]["ours"].harm_rate.mean == pytest.approx(1 / 3)
    assert groups["HCOCO"]["ours"].harm_rate.mean == 0.5
    assert groups["all"]["composite"].harm_rate.mean == 0


def test_groups_are_all_sub_sets_in_the_papers_order_and_ranges() -> None:
    scores = [
        score("1", subset=subset, ratio=0.2)
        for subset in ("mine", "Hday2night", "HFlickr", "HAdobe5k", "HCOCO", "a")
    ]
    assert list(group_images(scores)) == [
        "all",
        "HCOCO",
        "HAdobe5k",
        "HFlickr",
        "Hday2night",
        "a",
        "mine",
        "15–100 %",
    ]


def test_a_single_sub_set_is_no_group_of_its_own() -> None:
    assert list(group_images([score(ratio=0.2)])) == ["all", "15–100 %"]


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.0, None),
        (1e-9, "0–5 %"),
        (0.05, "0–5 %"),
        (0.0500001, "5–15 %"),
        (0.15, "5–15 %"),
        (0.1500001, "15–100 %"),
        (1.0, "15–100 %"),
    ],
)
def test_ranges_hold_their_upper_bound_only(ratio: float, expected: str | None) -> None:
    assert ratio_bin(ratio) == expected


def test_an_upper_bound_that_division_misses_belongs_to_its_range() -> None:
    assert ratio_bin(np.nextafter(0.05, 1)) == "0–5 %"


# Intervals and tests


def test_the_bootstrap_is_seeded() -> None:
    values = np.random.default_rng(0).normal(size=(30, 2))
    assert np.array_equal(bootstrap_means(values), bootstrap_means(values))


def test_the_bootstraps_spread_is_the_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=(200, 1))
    spread = bootstrap_means(values, num_resamples=4000).std()
    assert spread == pytest.approx(values.std() / math.sqrt(200), rel=0.05)


def test_intervals_hold_the_true_mean_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        values = rng.normal(size=(40, 1))
        means = bootstrap_means(values, num_resamples=200)[:, 0]
        interval = take_interval(float(values.mean()), means)
        held += interval.low <= 0 <= interval.high
    assert 0.88 < held / 200 < 0.99


def test_the_sign_flip_test_is_exact_for_few_images() -> None:
    # Of the 8 signings of 1, 2, 3 the sums are at least 6 in size for two: 1/4.
    p = sign_flip_p(np.array([1.0, 2.0, 3.0]), num_flips=20_000)
    assert p == pytest.approx(0.25, abs=0.01)


def test_the_sign_flip_test_does_not_mind_the_sign() -> None:
    differences = np.random.default_rng(0).normal(0.3, 1, 50)
    assert sign_flip_p(differences) == pytest.approx(
        sign_flip_p(-differences), abs=0.02
    )


def test_a_clear_difference_has_the_smallest_p_value() -> None:
    assert sign_flip_p(np.ones(60), num_flips=999) == 1 / 1000


# Markdown


def grids(scores: list[Score]) -> list[Grid]:
    return [part for part in protocol_tables(scores) if isinstance(part, Grid)]


def test_the_first_table_has_a_column_per_sub_set() -> None:
    table = grids(SCORES)[0]
    assert table.head == ("method", "HCOCO", "HFlickr", "all")
    assert table.rows == (
        ("composite", "20.00 / 30.50", "20.00 / 38.00", "20.00 / 33.00"),
        ("ours", "17.50 / 32.00", "4.00 / 41.00", "13.00 / 35.00"),
    )


def test_the_second_table_has_a_column_per_foreground_ratio() -> None:
    table = grids(SCORES)[1]
    assert table.head == ("method", "0–5 %", "5–15 %", "15–100 %", "all")
    assert table.rows[1] == (
        "ours",
        "10.00 / 100.0",
        "25.00 / 250.0",
        "4.00 / 40.0",
        "13.00 / 130.0",
    )


def test_the_third_table_has_counts_medians_intervals_and_harm() -> None:
    table = grids(SCORES)[2]
    row = dict(zip(table.head, table.rows[1], strict=True))
    assert (row["group"], row["images"], row["method"]) == ("all", "3", "ours")
    assert (row["median MSE"], row["median PSNR"]) == ("10.00", "34.00")
    assert re.fullmatch(r"13\.00 \(\d+\.\d\d–\d+\.\d\d\)", row["MSE"])
    assert re.fullmatch(r"33\.3% \(0\.0%–\d+\.\d%\)", row["worse"])


def test_ssim_that_is_not_defined_is_a_dash() -> None:
    table = grids([score(ssim=math.nan)])[2]
    row = dict(zip(table.head, table.rows[0], strict=True))
    assert row["SSIM"] == "–"


def test_every_table_says_its_protocol() -> None:
    parts = protocol_tables(SCORES)
    for before, part in pairwise(parts):
        if isinstance(part, Grid):
            assert "protocol full" in str(before).lower()


def test_markdown_has_as_many_cells_in_every_line() -> None:
    lines = [line for line in to_markdown(protocol_tables(SCORES)).splitlines() if line]
    widths = {line.count("|") for line in lines if line.startswith("| ")}
    assert widths == {5, 6, 12}


# Published rows


def iharmony4(protocol: str) -> list[Score]:
    """As many images per sub-set as iHarmony4's test list has, all alike."""
    return [
        score(f"{subset}{number}", subset=subset, protocol=protocol, ratio=0.2)
        for subset, count in IHARMONY4_TEST.items()
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def by_pct() -> list[Grid]:
    return grids(iharmony4("pct-full"))


def test_published_rows_stand_beside_ours_on_iharmony4(by_pct: list[Grid]) -> None:
    rows = {row[0]: row[1:] for row in by_pct[0].rows}
    assert by_pct[0].head == (
        "method",
        "params",
        "HCOCO",
        "HAdobe5k",
        "HFlickr",
        "Hday2night",
        "all",
    )
    assert rows["composite"][-1] == "20.00 / 30.00"
    assert rows["PCT-Net-ViT *"] == (
        "–",
        "– / 39.85",
        "– / 39.97",
        "– / 34.87",
        "– / 37.54",
        "18.84 / 39.29",
    )


def test_published_harm_rates_are_in_the_last_table(by_pct: list[Grid]) -> None:
    rows = {row[2]: row for row in by_pct[2].rows if row[0] == "all"}
    assert rows["DCCF *"][3:6] == ("24.72", "38.01", "302.6")
    assert rows["DCCF *"][-1] == "6.2%"


def test_published_rows_are_those_of_the_protocol() -> None:
    methods = {
        protocol: {row.method for row in read_published(protocol)}
        for protocol in PROTOCOLS
    }
    assert methods["hdnet256"] == {"HDNet", "HDNet-lite"}
    assert {"DoveNet", "S2CRNet-CS"} <= methods["dovenet256"] == methods["s2crnet256"]
    assert not methods["full"] | methods["256"] | methods["dccf-full"]


def test_published_ratios_are_those_of_table_5() -> None:
    rows = {
        row.group: (row.mse, row.fmse)
        for row in read_published("s2crnet256")
        if row.method == "S2CRNet-CS"
    }
    assert rows["0–5 %"] == (8.42, 301.97)
    assert rows["15–100 %"] == (126.56, 405.13)
    assert rows["all"][1] == 336.99


def test_other_images_get_no_published_rows() -> None:
    few = iharmony4("pct-full")[1:]
    assert not is_iharmony4([score.subset for score in few])
    assert not any("*" in row[0] for row in grids(few)[0].rows)


# Tables per image


OURS = [row for row in SCORES if row.method == "ours"]


def test_a_written_table_has_pct_nets_columns(tmp_path: Path) -> None:
    write_table(OURS, tmp_path / "ours.csv")
    with (tmp_path / "ours.csv").open(newline="", encoding="utf-8") as file:
        header, first, *_ = csv.reader(file)
    assert ",".join(header) == "Name,MSE,PSNR,fMSE,SE,SSIM,height,width,mask_area"
    assert first == ["a", "10", "34", "100", "3.0", "0.9", "100", "200", "1000.0"]


def test_a_written_table_is_read_back(tmp_path: Path) -> None:
    write_table(OURS, tmp_path / "ours.csv")
    table = read_table(tmp_path / "ours.csv")
    assert (table.name, table.protocol) == ("ours", FULL)
    for row in OURS:
        fields = {
            name: float(getattr(row, name)) for name in vars(table.rows[row.name])
        }
        assert vars(table.rows[row.name]) == fields


def test_the_file_beside_a_table_says_how_it_was_measured(tmp_path: Path) -> None:
    write_table(OURS, tmp_path / "ours.csv", num_threads=2)
    about = json.loads((tmp_path / "ours.json").read_text())
    assert about["protocol"] == "full"
    assert about["rules"] == FULL.describe()
    assert (about["method"], about["images"], about["threads"]) == ("ours", 3, 2)
    assert {"date", "processor", "versions"} <= set(about)


def peers(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "peer.csv"
    path.write_text(text, encoding="utf-8")
    return path


HEADER = ",".join(COLUMNS)


def test_names_with_and_without_extension_are_the_same(tmp_path: Path) -> None:
    path = peers(
        tmp_path,
        f"{HEADER}\na1_1_1.jpg,1,2,3,4,.5,6,7,8\nHCOCO/d1.5-2_1_1,1,2,3,4,.5,6,7,8\n",
    )
    assert list(read_table(path).rows) == ["a1_1_1", "d1.5-2_1_1"]


def test_numbers_that_pytorch_printed_are_read(tmp_path: Path) -> None:
    path = peers(
        tmp_path, f"{HEADER}\na,1,2,3,4,\"tensor(0.9939, device='cuda:0')\",6,7,8\n"
    )
    assert read_table(path).rows["a"].ssim == 0.9939


def test_columns_that_are_missing_are_not_numbers(tmp_path: Path) -> None:
    row = read_table(peers(tmp_path, "Name,MSE,mood\na,1.5,good\n")).rows["a"]
    assert row.mse == 1.5
    assert math.isnan(row.psnr)
    assert math.isnan(row.mask_area)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    assert read_table(peers(tmp_path, "\ufeffName,MSE\na,1\n")).rows["a"].mse == 1


def test_a_peers_json_says_nothing_of_the_protocol(tmp_path: Path) -> None:
    path = peers(tmp_path, "Name,MSE\na,1\n")
    for text in ("{}", "[1]", "no JSON", '{"format": "other", "protocol": "full"}'):
        path.with_suffix(".json").write_text(text)
        assert read_table(path).protocol is None


def test_our_json_with_an_unknown_protocol_is_refused(tmp_path: Path) -> None:
    write_table(OURS, tmp_path / "ours.csv")
    about = json.loads((tmp_path / "ours.json").read_text())
    (tmp_path / "ours.json").write_text(json.dumps(about | {"protocol": "new"}))
    with pytest.raises(UsageError, match=r"protocol is one of full, .*, got 'new'"):
        read_table(tmp_path / "ours.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "image,MSE\na,1\n",
            r"expected a table with the columns Name,MSE,.*'image,MSE'",
        ),
        ("", r"expected a table with the columns Name,.*, got ''"),
        ("Name,MSE\n", "expected a line per image, found none"),
        ("Name,MSE\na,1\na.jpg,2\n", "holds a twice, in line 3 again"),
        (
            "Name,MSE\na,tensor(x)\n",
            r"line 2: MSE: expected a number, got 'tensor\(x\)'",
        ),
        ("Name,MSE\na\n", "line 2: MSE: expected a number, got None"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_table(peers(tmp_path, text))


def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.csv: cannot be read as a table"):
        read_table(tmp_path / "absent.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"binary\.csv: cannot be read as a table"):
        read_table(tmp_path / "binary.csv")


# The page and the folder


@pytest.fixture(scope="module")
def scored(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[list[PairFiles], list[Score]]:
    """Eight pairs of which a peer's picture is the better, the higher the number."""
    root = tmp_path_factory.mktemp("root")
    for number in range(8):
        rng = np.random.default_rng(number)
        real = rng.integers(60, 180, (30, 40, 3), dtype=np.uint8)
        mask = np.zeros((30, 40), np.uint8)
        mask[8:20, 10:30] = 255
        inside = mask[..., None] > 0
        for folder, stem, pixels in (
            ("HCOCO/composite_images", f"c{number}_1_1", real + np.uint8(20) * inside),
            ("HCOCO/masks", f"c{number}_1", mask),
            ("HCOCO/real_images", f"c{number}", real),
            ("peer", f"c{number}_1_1", real + np.uint8(40 - 5 * number) * inside),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            files.write_photo(photo.from_array(pixels), root / folder / f"{stem}.png")
    pairs = find_pairs(root)
    methods = collect_methods(["composite"], pairs, results=[root / "peer"])
    scores = [row for rows in score_pairs(pairs, methods, [FULL]) for row in rows]
    return pairs, scores


def page(scored: tuple[list[PairFiles], list[Score]]) -> str:
    pairs, scores = scored
    root = pairs[0].composite.parents[2]
    methods = collect_methods(["composite"], pairs, results=[root / "peer"])
    return report({"full": protocol_tables(scores)}, scores, pairs, methods)


def test_images_are_ranked_by_their_gain(
    scored: tuple[list[PairFiles], list[Score]],
) -> None:
    ranked = rank_images(scored[1], "peer")
    assert [entry.name for _, entry in ranked] == [f"c{i}_1_1" for i in range(8)]
    # 40 levels off against 20: −6.02 dB.
    assert ranked[0][0] == pytest.approx(-20 * math.log10(2))


class Reader(html.parser.HTMLParser):
    """Collects titles, pictures, and what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [v or "" for k, v in attrs if k in ("src", "href", "action")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def read(scored: tuple[list[PairFiles], list[Score]]) -> Reader:
    reader = Reader()
    reader.feed(page(scored))
    return reader


def test_the_page_needs_nothing_from_elsewhere(read: Reader) -> None:
    assert not {"script", "link", "iframe"} & set(read.tags)
    assert read.sources
    assert all(source.startswith("data:image/webp;base64,") for source in read.sources)


def test_the_page_holds_the_tables(read: Reader) -> None:
    assert read.tags.count("table") == 3
    assert "Protocol full" in read.texts


def test_the_page_shows_the_worst_first_and_the_best(read: Reader) -> None:
    shown = [text for text in read.texts if text.startswith("HCOCO: ")]
    worst, best = shown[:6], shown[6:]
    assert worst == [f"HCOCO: c{i}_1_1" for i in range(6)]
    assert best == [f"HCOCO: c{i}_1_1" for i in range(7, 1, -1)]


def test_the_pages_pictures_are_pictures(read: Reader) -> None:
    encoded = read.sources[1].partition(",")[2]
    picture = files.read_photo(base64.b64decode(encoded))
    assert (picture.height, picture.width) == (30, 40)


def test_names_on_the_page_are_escaped(
    scored: tuple[list[PairFiles], list[Score]],
) -> None:
    tables: dict[str, list[str | Grid]] = {}
    tables["full"] = ["<b>1 & 2</b>", Grid(("<i>",), (("<u>",),))]
    text = report(tables, scored[1], scored[0], {})
    assert "&lt;b&gt;1 &amp; 2&lt;/b&gt;" in text
    assert "<th>&lt;i&gt;</th>" in text
    assert "<td>&lt;u&gt;</td>" in text


def test_a_shown_picture_is_what_the_protocol_saw() -> None:
    rng = np.random.default_rng(0)
    composite = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    mask = np.zeros((20, 20), np.uint8)
    mask[5:9] = 255
    there = Scene(composite, composite, mask)
    flat: npt.NDArray[np.float64] = np.full((20, 20, 3), 99.6)
    shown = render_tiles(there, FULL, lambda tile: tile.view(flat))
    assert (shown[5:9] == 100).all()
    assert np.array_equal(shown[9:], composite[9:])


def test_a_folder_holds_everything(
    scored: tuple[list[PairFiles], list[Score]], tmp_path: Path
) -> None:
    pairs, scores = scored
    tables = {"full": protocol_tables(scores)}
    write_folder(
        tmp_path / "out", tables=tables, scores=scores, page="<p>", num_threads=1
    )
    found = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {
        "out/tables.md",
        "out/report.html",
        "out/full/composite.csv",
        "out/full/composite.json",
        "out/full/peer.csv",
        "out/full/peer.json",
    }
    assert to_markdown(tables["full"]) in (tmp_path / "out" / "tables.md").read_text()
    assert len(read_table(tmp_path / "out" / "full" / "peer.csv").rows) == len(pairs)


def test_a_folder_that_exists_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exists; the results go to a new folder"):
        check_new_folder(tmp_path)
    with pytest.raises(UsageError, match="nowhere does not exist"):
        check_new_folder(tmp_path / "nowhere" / "out")


def test_a_folder_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("imharmony.evaluation.reports.output.write_table", fail)
    with pytest.raises(ImageError, match=r"out: cannot be written \(No space left"):
        write_folder(tmp_path / "out", tables={}, scores=SCORES, page="", num_threads=1)
    assert list(tmp_path.iterdir()) == []


def test_the_ceiling_is_explained_where_it_is_shown() -> None:
    with_ceiling = [*SCORES[:1], score("a", method="ceiling", mse=1)]
    assert "The ceiling is no method" in str(protocol_tables(with_ceiling)[-1])
    assert "ceiling" in BASELINES
    assert "ceiling" not in str(protocol_tables(SCORES)[-1])
