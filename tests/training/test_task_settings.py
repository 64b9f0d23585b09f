"""Settings: configs are read, those of the package are what was published."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from imharmony.errors import UsageError
from imharmony.training.architectures import build_network, find_architecture
from imharmony.training.data.look_settings import LookSettings
from imharmony.training.networks.s2crnet import build_s2crnet
from imharmony.training.settings import CONFIGS, TrainSettings, read_settings

NAMES = sorted(path.stem for path in CONFIGS.glob("*.toml"))
PUBLISHED = [
    name
    for name in NAMES
    if name.startswith("s2crnet") and name.endswith(("-paper", "-released"))
]


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


# Reading


def test_a_config_is_read(tmp_path: Path) -> None:
    text = (
        "thumbnail_size = [32, 24]\nunlabeled_sources = ['web']\nprecision = "
        "'bf16-mixed'\nlearning_rate = 1\n[dimensions]\nnum_bins = 4\n"
    )
    assert read_settings(write(tmp_path / "a.toml", text)) == TrainSettings(
        thumbnail_size=(32, 24),
        unlabeled_sources=("web",),
        precision="bf16-mixed",
        learning_rate=1,
        dimensions={"num_bins": 4},
    )


def test_looks_are_read_from_a_config(tmp_path: Path) -> None:
    text = "[looks]\ndifference = [0.1, 0.2]\n[looks.families]\nretouch = 1.0\n"
    looks = read_settings(write(tmp_path / "looks.toml", text)).looks
    assert looks == LookSettings(families={"retouch": 1.0}, difference=(0.1, 0.2))


def test_a_config_says_only_what_differs_from_its_base(tmp_path: Path) -> None:
    base = (
        "seed = 1\nnum_steps = 5\n[dimensions]\nnum_bins = 4\nnum_stages = 1\n"
        "[looks]\nbase = 0.5\n"
    )
    write(tmp_path / "base.toml", base)
    text = "base = 'base.toml'\nseed = 2\n[dimensions]\nnum_stages = 3\n"
    found = read_settings(write(tmp_path / "own.toml", text))
    assert (found.seed, found.num_steps, found.looks.base) == (2, 5, 0.5)
    assert found.dimensions == {"num_bins": 4, "num_stages": 3}


def test_a_base_may_be_one_of_the_package(tmp_path: Path) -> None:
    text = "base = 's2crnet-c-paper'\nbatch_size = 3\n"
    found = read_settings(write(tmp_path / "own.toml", text))
    assert (found.variant, found.batch_size, found.flip) == ("s2crnet-c", 3, True)


def test_another_base_can_be_put_in_its_place(tmp_path: Path) -> None:
    small = write(tmp_path / "small.toml", "base = 's2crnet-paper'\nbatch_size = 2\n")
    found = read_settings("ablation-a", base=small)
    assert (found.pixel_loss, found.batch_size, found.flip) == ("l1", 2, True)


@pytest.mark.parametrize("base", ["own.toml", "other.toml"])
def test_a_config_cannot_be_its_own_base(tmp_path: Path, base: str) -> None:
    write(tmp_path / "other.toml", "base = 'own.toml'")
    config = write(tmp_path / "own.toml", f"base = '{base}'")
    with pytest.raises(UsageError, match=r"own\.toml: is its own base"):
        read_settings(config)


# What is refused


@pytest.mark.parametrize("config", ["s3crnet", "absent.toml"])
def test_an_unknown_config_is_refused(config: str) -> None:
    with pytest.raises(UsageError, match=f"{config}: no such config; .*s2crnet-cs"):
        read_settings(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch_size == 3", r"bad\.toml: not valid TOML"),
        ("epochs = 3", r"bad\.toml: unknown setting epochs; known are variant, .*"),
        ("[looks]\nsepia = 1", "unknown looks setting sepia; known are families, .*"),
        (
            "[dimensions]\ndepth = 1",
            "unknown dimension depth; known are num_pieces, .*",
        ),
        ("[looks.families]\nsepia = 1", "families gives shares above 0 to retouch"),
        ("looks = 3", "looks settings are a table, got 3"),
        ("base = 3", "base is the name of a config, got 3"),
        ("batch_size = 2.5", r"bad\.toml: batch_size is int, got 2\.5"),
        ("batch_size = true", "batch_size is int, got True"),
        ("seed = '1'", "seed is int, got '1'"),
        ("learning_rate = true", "learning_rate is float, got True"),
        ("thumbnail_size = 64", r"thumbnail_size is tuple\[int, int\], got 64"),
        ("thumbnail_size = [64]", r"thumbnail_size is tuple\[int, int\], got \(64,\)"),
        ("thumbnail_size = [64, 'a']", r"thumbnail_size is tuple\[int, int\], got"),
        ("unlabeled_sources = [1]", r"unlabeled_sources is tuple\[str, \.\.\.\], got"),
        (
            "schedule = 'linear'",
            "schedule is one of cosine, constant, steps, got 'linear'",
        ),
        ("precision = '8'", "precision is one of 32-true, bf16-mixed, 16-mixed, got"),
        ("trunk = 1", r"trunk is str \| None, got 1"),
        ("[looks.families]\nretouch = 'a'", r"families is dict\[str, float\], got"),
        ("[dimensions]\nslopes = 'steep'", "slopes is one of free, positive, got"),
    ],
)
def test_a_wrong_config_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_settings(write(tmp_path / "bad.toml", text))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_steps": 0}, "num_steps is at least 1, got 0"),
        ({"learning_rate": -1.0}, "learning_rate is at least 0, got -1"),
        ({"learning_rate": float("nan")}, "learning_rate is at least 0, got nan"),
        ({"average_decay": 1.5}, r"average_decay is 0 to 1, got 1\.5"),
        ({"thumbnail_size": (64, 16)}, r"at least 17 a side, in pixels, got \(64, 16"),
        ({"crop_from": (300, 200)}, r"crop_from is at least thumbnail_size \(256, 256"),
        ({"adversarial_weight": 1.0}, "needs loss_region thumbnail, got crop"),
        (
            {
                "adversarial_weight": 1.0,
                "loss_region": "thumbnail",
                "thumbnail_size": (78, 90),
            },
            r"needs a thumbnail_size of at least 79 a side, in pixels, got \(78, 90",
        ),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainSettings(**values)


def test_a_value_out_of_range_is_refused_under_its_configs_name(tmp_path: Path) -> None:
    config = write(tmp_path / "bad.toml", "num_steps = 0")
    with pytest.raises(UsageError, match=r"bad\.toml: num_steps is at least 1, got 0"):
        read_settings(config)


# Those of the package


def test_the_configs_of_the_package_are_the_checked_in_list() -> None:
    variants = ("s2crnet", "s2crnet-c", "s2crnet-cs", "s2crnet-s")
    published = [f"{v}-{source}" for v in variants for source in ("paper", "released")]
    ablations = [f"ablation-{row}" for row in "abcdefg"]
    other = ["s2crnet-cs", "s2crnet-cs-more", "s2crnet-cs-once", "hdnet-released"]
    other += [
        "s2crnet-cs3-released",
        "s2crnet-seam",
        "hdnet-lite",
        "hdnet-lite-paper",
        "hdnet-lite-refining",
        "hdnet-lite-refining-192",
        "hdnet-lite-released",
    ]
    assert sorted([*published, *ablations, *other]) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_config_says_what_it_is_and_builds_its_network(name: str) -> None:
    assert (CONFIGS / f"{name}.toml").read_text(encoding="utf-8").startswith("# ")
    settings = read_settings(name)
    built = build_network(settings.variant, **settings.dimensions)
    assert find_architecture(settings.variant) == type(built).__name__.lower()


def test_the_bundled_weights_config_keeps_its_meaning() -> None:
    # All that is not written in the file is a default that must not change.
    text = (CONFIGS / "s2crnet-cs.toml").read_text(encoding="utf-8")
    settings = read_settings("s2crnet-cs")
    defaults = {
        "warmup_steps": 500,
        "average_decay": 0.999,
        "label_dropout": 0.5,
        "seed": 0,
        "schedule": "cosine",
        "pixel_loss": "relative_l1",
        "loss_region": "crop",
        "pixel_weight": 1.0,
        "adversarial_weight": 0.0,
        "trunk": None,
        "log_every": 50,
        "validate_every": 1000,
        "validation_pairs": 512,
    }
    assert not defaults.keys() & tomllib.loads(text).keys()
    assert {name: getattr(settings, name) for name in defaults} == defaults


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_optimization(name: str) -> None:
    found = read_settings(name)
    assert (found.learning_rate, found.weight_decay) == (2e-4, 1e-2)
    assert (found.batch_size, found.thumbnail_size) == (8, (256, 256))
    assert (found.schedule, found.warmup_steps) == ("constant", 0)
    # Nothing of ours: averaging, clipping, smoothing, hidden labels.
    assert found.average_decay == found.max_gradient_norm == 0
    assert found.roughness_weight == found.label_dropout == found.log_offset == 0
    assert not found.batch_norm


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_losses(name: str) -> None:
    found = read_settings(name)
    assert (found.pixel_loss, found.loss_region) == ("relative_l1", "thumbnail")
    of_paper = name.endswith("-paper")
    assert found.adversarial_weight == (1 if of_paper else 0.01)
    # The released code counts the only stage twice.
    stages = build_s2crnet(found.variant, **found.dimensions).dimensions.num_stages
    assert found.pixel_weight == (2 if stages == 1 and not of_paper else 1)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_pictures(name: str) -> None:
    found = read_settings(name)
    of_paper = name.endswith("-paper")
    assert found.dimensions["foreground_input"] == ("thumbnail" if of_paper else "crop")
    assert (found.flip, found.crop_from is not None) == (of_paper, of_paper)
    # Epochs of iHarmony4's 65,742 pairs, without the last partial batch.
    assert found.num_steps == (20 if of_paper else 50) * (65_742 // 8)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # Table 1 of the paper, in full.
        ("s2crnet-paper", 722_304),
        ("s2crnet-s-paper", 736_896),
        ("s2crnet-c-paper", 919_296),
        ("s2crnet-cs-paper", 948_480),
        ("s2crnet-cs3-released", 948_480 + 211_584),
    ],
)
def test_published_sizes(name: str, parameters: int) -> None:
    settings = read_settings(name)
    network = build_s2crnet(settings.variant, **settings.dimensions)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_ablations_are_the_papers_rows() -> None:
    found = {}
    for row in "ABCDEFG":
        s = read_settings(f"ablation-{row.lower()}")
        encoder = s.dimensions["encoder_input"]
        found[row] = (s.pixel_loss, s.adversarial_weight, encoder, s.variant)
    assert found == {
        "A": ("l1", 0, "regions", "s2crnet"),
        "B": ("relative_l1", 0, "regions", "s2crnet"),
        "C": ("relative_l1", 1, "regions", "s2crnet"),
        "D": ("relative_l1", 1, "foreground", "s2crnet"),
        "E": ("relative_l1", 1, "whole", "s2crnet"),
        "F": ("relative_l1", 1, "regions", "s2crnet-c"),
        "G": ("relative_l1", 1, "regions", "s2crnet-cs"),
    }
