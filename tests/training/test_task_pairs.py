"""Training on pairs in iHarmony4 layout."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from imharmony.errors import UsageError
from imharmony.images import files, photo
from imharmony.training.data.iharmony4 import IHarmony4
from imharmony.training.data.seam import SeamSettings
from imharmony.training.feed import open_sources
from imharmony.training.settings import TrainSettings
from imharmony.training.task import Devices, train

CPU = Devices(accelerator="cpu")
SETTINGS = TrainSettings(
    variant="s2crnet-s",
    thumbnail_size=(24, 24),
    crop_from=(28, 28),
    flip=True,
    num_steps=4,
    batch_size=2,
    loss_region="thumbnail",
    log_every=1,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pairs to train with and two to validate, 30×40; labels for all."""
    root = tmp_path_factory.mktemp("iharmony4")
    rng = np.random.default_rng(0)
    for folder in ("composite_images", "masks", "real_images"):
        (root / "HCOCO" / folder).mkdir(parents=True)
    names = [f"c{number}_1_1" for number in range(7)]
    for name in names:
        real = rng.integers(60, 200, (30, 40, 3)).astype(np.uint8)
        mask = np.zeros((30, 40), np.uint8)
        mask[8:20, 10:25] = 255
        composite = np.where(mask[..., None] > 0, real // 2, real).astype(np.uint8)
        for pixels, path in (
            (composite, f"composite_images/{name}.jpg"),
            (mask, f"masks/{name[:-2]}.png"),
            (real, f"real_images/{name[:-4]}.jpg"),
        ):
            files.write_photo(photo.from_array(pixels), root / "HCOCO" / path)
    for split, chosen in (("train", names[:5]), ("test", names[5:])):
        lines = [f"HCOCO/composite_images/{name}.jpg\n" for name in chosen]
        (root / f"IHD_{split}.txt").write_text("".join(lines), encoding="utf-8")
    return root


def test_lists_say_what_trains_and_what_validates(root: Path) -> None:
    pairs, val_pairs = open_sources(SETTINGS, root)
    assert isinstance(pairs, IHarmony4)
    assert isinstance(val_pairs, IHarmony4)
    assert [files.name for files in pairs.files] == [f"c{n}_1_1" for n in range(5)]
    assert [files.name for files in val_pairs.files] == ["c5_1_1", "c6_1_1"]


def test_a_network_that_looks_at_the_seam_learns_from_pairs_its_base_held(
    root: Path, tmp_path: Path
) -> None:
    settings = TrainSettings(
        variant="s2crnet-seam",
        thumbnail_size=(32, 32),
        num_steps=3,
        batch_size=2,
        validation_pairs=2,
        seam=SeamSettings(num_pairs=16),
        base_held_steps=2,
    )
    runs = {}
    for steps in (1, 2, 3):
        output = tmp_path / str(steps)
        chosen = replace(settings, num_steps=steps, average_decay=0.0)
        reports = list(train(chosen, root, output, devices=CPU))
        runs[steps] = load_file(output / "weights.safetensors")
    # Three ways of scoring, as for synthesized pairs.
    assert {"psnr", "paste_psnr", "no_seam_psnr"} <= reports[-1].values.keys()
    base = [key for key in runs[1] if key.startswith("base.")]
    assert all(torch.equal(runs[1][key], runs[2][key]) for key in base)
    assert not all(torch.equal(runs[2][key], runs[3][key]) for key in base)
    for key in ("seamed.curves.weight", "judge_scene.scores.weight"):
        assert not torch.equal(runs[1][key], runs[2][key]), key


def test_a_run_trains_on_pairs_and_scores_those_of_the_test_list(
    root: Path, tmp_path: Path
) -> None:
    reports = list(train(SETTINGS, root, tmp_path, devices=CPU))
    assert [report.step for report in reports] == [1, 2, 3, 4]
    assert load_file(tmp_path / "weights.safetensors").keys()
    made = IHarmony4(root, split="test").batch([0, 1], (24, 24))
    errors = ((made.composite - made.real) ** 2).mean(dim=(1, 2, 3))
    expected = float((-10 * errors.log10()).mean())
    assert reports[-1].values["composite_psnr"] == pytest.approx(expected, abs=1e-3)


def test_a_run_on_pairs_goes_on_as_if_it_had_not_stopped(
    root: Path, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, checkpoint_every=1)
    list(train(settings, root, tmp_path / "whole", devices=CPU))
    steps = train(settings, root, tmp_path / "stopped", devices=CPU)
    assert [next(steps).step for _ in range(3)] == [1, 2, 3]
    steps.close()  # type: ignore[attr-defined]
    list(train(settings, root, tmp_path / "stopped", resume=True, devices=CPU))
    found = [
        load_file(tmp_path / name / "weights.safetensors")
        for name in ("whole", "stopped")
    ]
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_photographs_are_refused_with_pairs(root: Path, pool_folder: Path) -> None:
    with pytest.raises(UsageError, match=r"are for synthesized pairs, .* holds pairs"):
        open_sources(SETTINGS, root, photos=pool_folder)


def test_a_data_set_without_a_test_list_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "IHD_train.txt").write_bytes((root / "IHD_train.txt").read_bytes())
    (tmp_path / "HCOCO").symlink_to(root / "HCOCO")
    with pytest.raises(UsageError, match="IHD_test"):
        open_sources(SETTINGS, tmp_path)
