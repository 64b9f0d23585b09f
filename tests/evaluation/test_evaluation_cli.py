"""The commands evaluate, compare and study --results, run in this process."""

import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imharmony import cli
from imharmony.evaluation.protocols.protocol import PROTOCOLS
from imharmony.evaluation.study.study import Study
from imharmony.images import files, photo
from tests.onnx_files import write_picture_weights

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; return its exit code, standard output and standard error."""

    def run(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["imharmony", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(str(ended.value.code or 0)), captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sub-sets of two pairs; the foreground of the composites is too bright."""
    root = tmp_path_factory.mktemp("root")
    for number, subset in enumerate(("HCOCO", "HCOCO", "HFlickr", "HFlickr")):
        rng = np.random.default_rng(number)
        real = rng.integers(60, 180, (40, 50, 3), dtype=np.uint8)
        mask = np.zeros((40, 50), np.uint8)
        mask[10:25, 15:40] = 255
        composite = real + np.uint8(15) * (mask[..., None] > 0)
        for folder, stem, pixels in (
            (f"{subset}/composite_images", f"x{number}_1_1", composite),
            (f"{subset}/masks", f"x{number}_1", mask),
            (f"{subset}/real_images", f"x{number}", real),
            ("peer", f"x{number}_1_1", composite - np.uint8(5) * (mask[..., None] > 0)),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            files.write_photo(photo.from_array(pixels), root / folder / f"{stem}.png")
    return root


def lines(text: str, method: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"| {method} |")]


def test_several_models_stand_in_one_table(
    run: Run, root: Path, tmp_path: Path
) -> None:
    local = write_picture_weights(tmp_path, gain=0.5)
    code, out, _ = run(
        "evaluate", root, "--rows", "model", "--model", "s2crnet-cs", "--weights", local
    )
    assert code == 0
    for name in ("composite", "s2crnet-cs", "picture"):
        assert lines(out, name)


def test_weights_alone_leave_the_default_model_out(
    run: Run, root: Path, tmp_path: Path
) -> None:
    local = write_picture_weights(tmp_path, gain=0.5)
    _, out, _ = run("evaluate", root, "--rows", "model", "--weights", local)
    assert lines(out, "picture")
    assert not lines(out, "s2crnet-cs")


def test_evaluate_prints_all_rows_under_full(run: Run, root: Path) -> None:
    code, out, err = run("evaluate", root)
    assert (code, err) == (0, "")
    assert out.startswith("Protocol full: native size; ")
    for method in (
        "composite",
        "reinhard",
        "histogram",
        "seamless",
        "seam fit",
        "s2crnet-cs",
        "s2crnet-cs, paste",
        "s2crnet-cs, no seam",
        "ceiling",
    ):
        assert len(lines(out, method)) == 2  # per sub-set, and per foreground ratio


def test_evaluate_takes_protocols_in_any_form(run: Run, root: Path) -> None:
    _, out, _ = run(
        "evaluate",
        root,
        "--rows",
        "composite",
        "--protocol",
        "256,idih256",
        "--protocol",
        "pct-full",
    )
    starts = [line.split(":")[0] for line in out.splitlines() if ": " in line]
    titles = [start for start in starts if start.startswith("Protocol ")]
    assert titles[::1] == ["Protocol 256", "Protocol idih256", "Protocol pct-full"]


def test_evaluate_scores_another_programs_pictures(run: Run, root: Path) -> None:
    _, out, _ = run("evaluate", root, "--rows", "composite", "--results", root / "peer")
    # 375 of 2,000 pixels are 15 levels off, the peer's 10.
    assert lines(out, "composite")[0].endswith("| 42.19 / 31.88 |")
    assert lines(out, "peer")[0].endswith("| 18.75 / 35.40 |")


def test_evaluate_writes_a_folder(run: Run, root: Path, tmp_path: Path) -> None:
    code, out, err = run(
        "evaluate", root, "--rows", "reinhard", "-o", tmp_path / "out", "--threads", 1
    )
    assert (code, err.strip()) == (0, f"written: {tmp_path / 'out'}")
    found = {
        str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*")
    }
    assert found == {
        "tables.md",
        "report.html",
        "full/composite.csv",
        "full/composite.json",
        "full/reinhard.csv",
        "full/reinhard.json",
    }
    assert out.strip() in (tmp_path / "out" / "tables.md").read_text()


def test_evaluate_refuses_a_folder_that_exists(
    run: Run, root: Path, tmp_path: Path
) -> None:
    code, out, err = run("evaluate", root, "--output", tmp_path)
    assert (code, out) == (2, "")
    assert "exists; the results go to a new folder" in err


def test_evaluate_takes_a_split(run: Run, root: Path, tmp_path: Path) -> None:
    code, _, err = run("evaluate", root, "--split", "train")
    assert code == 2
    assert "expected a list of the split, IHD_train.txt" in err


def test_evaluate_finishes_the_rest_when_a_pair_fails(
    run: Run, root: Path, tmp_path: Path
) -> None:
    shutil.copytree(root / "HCOCO", tmp_path / "HCOCO")
    (tmp_path / "HCOCO" / "real_images" / "x0.png").write_bytes(b"broken")
    code, out, err = run("evaluate", tmp_path, "--rows", "composite")
    assert code == 1
    assert "Means over 1 images" in out
    left_out, summary = err.splitlines()
    assert left_out.startswith(f"left out x0_1_1: {tmp_path}")
    assert summary == "error: 1 of 2 pairs could not be scored"


def test_evaluate_says_when_no_pair_can_be_scored(
    run: Run, root: Path, tmp_path: Path
) -> None:
    shutil.copytree(root / "HCOCO", tmp_path / "HCOCO")
    for path in (tmp_path / "HCOCO" / "real_images").iterdir():
        path.write_bytes(b"broken")
    code, out, err = run("evaluate", tmp_path, "--rows", "composite")
    assert (code, out) == (1, "")
    assert err.endswith(f"error: {tmp_path}: none of 2 pairs can be scored\n")


def test_evaluate_refuses_unknown_protocols(run: Run, root: Path) -> None:
    code, _, err = run("evaluate", root, "--protocol", "psnr")
    assert code == 2
    assert err.startswith("error: protocol is one of full, 256, ")


def test_evaluate_says_what_seamless_cloning_needs(
    run: Run, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "cv2" else found(name)
    )
    code, out, err = run("evaluate", root)
    assert code == 0
    assert not lines(out, "seamless")
    assert "row seamless left out: cv2 is not installed; pip install" in err


def test_evaluate_names_a_missing_library_before_any_work(
    run: Run, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    code, out, err = run("evaluate", root, "--protocol", "hdnet256")
    assert (code, out) == (2, "")
    assert err == "error: PIL is not installed; pip install 'imharmony[evaluate]'\n"


@pytest.fixture
def written(run: Run, root: Path, tmp_path: Path) -> Path:
    run(
        "evaluate",
        root,
        "--rows",
        "composite",
        "--results",
        root / "peer",
        "--protocol",
        "full,pct-full",
        "--output",
        tmp_path / "out",
    )
    return tmp_path / "out"


def test_compare_tests_the_difference(run: Run, written: Path) -> None:
    code, out, err = run(
        "compare", written / "full" / "composite.csv", written / "full" / "peer.csv"
    )
    assert (code, err) == (0, "")
    assert out.startswith(
        "A is composite, protocol full; B is peer, protocol full. 4 images are in both"
    )
    # The peer's MSE is 23.4375 below on every image: 16 signings, 2 as extreme.
    (mse,) = lines(out, "MSE")
    assert "| 42.188 | 18.750 | -23.438 (-23.438 to -23.438) | 0.1" in mse
    assert mse.endswith("| 100.0% |")


def test_compare_explains_another_protocol(run: Run, written: Path) -> None:
    code, out, err = run(
        "compare", written / "full" / "peer.csv", written / "pct-full" / "peer.csv"
    )
    assert (code, out) == (2, "")
    assert "not comparable: protocols full and pct-full differ in mask: > 127 or" in err


def test_study_prints_preferences(run: Run, tmp_path: Path) -> None:
    for method in ("ours", "theirs"):
        (tmp_path / method).mkdir()
        picture = photo.from_array(np.zeros((4, 4, 3), np.uint8))
        files.write_photo(picture, tmp_path / method / "one.png")
    study = Study.of_folder(tmp_path)
    for voter in ("a", "b", "c"):
        trial = study.next_trial(voter)
        assert trial is not None
        side = ("left", "right")[trial.methods.index("ours")]
        study.answer(voter, trial.token, side)
    code, out, err = run("study", tmp_path, "--results")
    assert (code, err) == (0, "")
    assert out.startswith("3 choices between two pictures by 3 voters, on 1 images.")
    # 3 of 3, with half a choice each way added: 3.5 of 4.
    assert lines(out, "ours")[0].startswith("| ours | 87.5% (")


def test_study_without_votes_has_no_results(run: Run, tmp_path: Path) -> None:
    code, _, err = run("study", tmp_path, "--results")
    assert code == 2
    assert err == "error: expected votes to rank the methods by, found none\n"
    assert list(tmp_path.iterdir()) == []


def test_study_refuses_a_folder_without_pictures(run: Run, tmp_path: Path) -> None:
    code, _, err = run("study", tmp_path)
    assert code == 2
    assert "expected one folder per method with equally named pictures" in err


DOCUMENT = Path(__file__).parents[2] / "docs" / "evaluation.md"


def test_the_documented_commands_do_their_work(
    run: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(root, "ROOT", ignore=shutil.ignore_patterns("peer"))
    shutil.copytree(root / "peer", "theirs")
    for method in ("ours", "theirs"):
        shutil.copytree(root / "peer", Path("pictures", method))
    blocks = re.findall(r"```console\n\$ (.*?)\n```", DOCUMENT.read_text("utf-8"))
    commands = [shlex.split(line)[1:] for line in blocks]
    assert [command[0] for command in commands] == [
        "evaluate",
        "evaluate",
        "compare",
        "compare",
        "study",
        "study",
    ]
    for command in commands:
        if command == ["study", "pictures"]:  # serves; see test_study
            study = Study.of_folder(Path("pictures"))
            trial = study.next_trial("me")
            assert trial is not None
            study.answer("me", trial.token, "left")
            continue
        if "evaluation_PCTNet_ViT.csv" in command:
            peer = Path("measured", "pct-full", "ceiling.csv")
            shutil.copy(peer, "evaluation_PCTNet_ViT.csv")
        code, out, err = run(*command)
        assert code == 0, err
        assert "| " in out


def test_the_document_lists_every_protocol() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \(", DOCUMENT.read_text("utf-8"), flags=re.M)
    assert rows == list(PROTOCOLS)
