"""The ComfyUI nodes, in a stand-in of their host."""

import inspect
import json
import logging
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from imharmony import Curves, Harmonizer
from imharmony.curve_files import write_curves
from tests.integrations.comfyui_stand_in import (
    Host,
    InterruptedByUserError,
    run_workflow,
)

ROOT = Path(__file__).parents[2]
PACK = ROOT / "integrations" / "comfyui"
HARMONIZE, PASTE = "ImharmonyHarmonize", "ImharmonyPaste"
MATCH, APPLY = "ImharmonyMatchInpainted", "ImharmonyApplyCurves"
SAVE, LOAD = "ImharmonySaveCurves", "ImharmonyLoadCurves"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    with host.load(PACK):
        yield host


def picture(name: str) -> torch.Tensor:
    """Load an example as the host's Load Image does: (1, H, W, 3) in [0, 1]."""
    pixels = np.asarray(Image.open(ROOT / "examples" / name).convert("RGB"))
    return torch.from_numpy(pixels.astype(np.float32) / 255)[None]


def example() -> tuple[torch.Tensor, torch.Tensor]:
    return picture("composite.png"), picture("mask.png")[..., 0]


def drifted(image: torch.Tensor) -> torch.Tensor:
    """Change colors as an encoder and a decoder may, with a little noise."""
    noise = np.random.default_rng(0).normal(0, 0.02, image.shape)
    colors = 0.03 + 0.9 * image.numpy() ** np.array([0.9, 1.0, 1.15])
    return torch.from_numpy(np.clip(colors + noise, 0, 1).astype(np.float32))


def region() -> torch.Tensor:
    """A mask (1, H, W) over the rocket."""
    mask = torch.zeros(1, 427, 640)
    mask[:, 120:300, 220:420] = 1
    return mask


def matching(host: Host) -> Any:
    """The module of the pack that matches arrays."""
    return sys.modules[host.nodes[MATCH].__module__.rpartition(".")[0] + ".matching"]


def seam_option() -> dict[str, Any]:
    """What the node tells a network that can look at the seam."""
    has_seam = "seam" in inspect.signature(Harmonizer.__call__).parameters
    return {"seam": "trust"} if has_seam else {}


def test_every_node_says_what_it_and_its_inputs_are_for(host: Host) -> None:
    assert list(host.nodes) == [HARMONIZE, PASTE, MATCH, APPLY, SAVE, LOAD]
    for node in host.nodes.values():
        schema = node.define_schema()
        assert schema.node_id.startswith("Imharmony")
        assert schema.display_name
        assert schema.category == "image/harmonize"
        assert schema.description.endswith(".")
        own = [slot for slot in schema.inputs if slot.io_type not in ("IMAGE", "MASK")]
        for slot in own:
            if schema.node_id != SAVE or slot.io_type != "IMHARMONY_CURVES":
                assert slot.tooltip, (schema.node_id, slot.id)


def test_harmonize_gives_what_the_library_gives(host: Host) -> None:
    image, mask = example()
    output, curves = host.run(HARMONIZE, image=image, mask=mask).args
    result = Harmonizer()(image[0].numpy(), mask[0].numpy())
    np.testing.assert_array_equal(output[0].numpy(), result.image)
    assert curves == (result.curves,)


def test_the_background_stays_as_it_is_and_the_input_too(host: Host) -> None:
    image, mask = example()
    before = image.clone()
    output = host.run(HARMONIZE, image=image, mask=mask).args[0]
    assert torch.equal(image, before)
    assert torch.equal(output[mask == 0], image[mask == 0])
    assert not torch.equal(output, image)


def test_strength_and_label_reach_the_network(host: Host) -> None:
    image, mask = example()
    nothing = host.run(HARMONIZE, image=image, mask=mask, strength=0.0)
    assert torch.equal(nothing.args[0], image)
    food = host.run(HARMONIZE, image=image, mask=mask, label="food")
    result = Harmonizer()(image[0].numpy(), mask[0].numpy(), label="food")
    assert food.args[1] == (result.curves,)


def test_another_photo_is_a_reference(host: Host) -> None:
    image, mask = example()
    scene = picture("launchpad.jpg") * torch.tensor([0.6, 0.8, 1.0])
    own = host.run(HARMONIZE, image=image, mask=mask).args[1]
    other = host.run(HARMONIZE, image=image, mask=mask, reference=scene).args[1]
    assert own != other


def test_a_seam_that_cannot_be_had_is_refused(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call_without_seam(self: Harmonizer, composite: Any, mask: Any) -> None:
        """As in versions whose networks do not look at the seam."""

    monkeypatch.setattr(Harmonizer, "__call__", call_without_seam)
    image, mask = example()
    with pytest.raises(
        Exception, match="seam: the installed imharmony knows auto only"
    ):
        host.run(HARMONIZE, image=image, mask=mask, seam="trust")


@pytest.mark.parametrize("size", [(64, 64), (427, 640), (1000, 333)])
def test_masks_of_any_size_are_stretched(host: Host, size: tuple[int, int]) -> None:
    image, mask = example()
    small = torch.nn.functional.interpolate(mask[None], size=size, mode="bilinear")[0]
    output = host.run(HARMONIZE, image=image, mask=small).args[0]
    back = torch.nn.functional.interpolate(
        small[None], size=image.shape[1:3], mode="bilinear"
    )[0]
    assert torch.equal(output[back == 0], image[back == 0])


def test_a_mask_of_the_whole_batch_or_a_single_one(host: Host) -> None:
    image, mask = example()
    batch = torch.cat([image, image.flip(2)])
    both = host.run(HARMONIZE, image=batch, mask=torch.cat([mask, mask.flip(2)]))
    assert torch.allclose(both.args[0][0], both.args[0][1].flip(1), atol=0.02)
    single = host.run(HARMONIZE, image=batch, mask=mask[0])
    assert torch.equal(single.args[0][0], both.args[0][0])


def test_sixty_four_pictures_show_progress(host: Host) -> None:
    image, mask = example()
    small = image[:, ::4, ::4].repeat(64, 1, 1, 1)
    output, curves = host.run(HARMONIZE, image=small, mask=mask).args
    assert output.shape == (64, 107, 160, 3)
    assert len(curves) == 64
    assert host.progress == [(done, 64) for done in range(1, 65)]


def test_cancel_stops_between_two_pictures(host: Host) -> None:
    image, mask = example()
    host.interrupt_after = 3
    with pytest.raises(InterruptedByUserError):
        host.run(HARMONIZE, image=image[:, ::4, ::4].repeat(64, 1, 1, 1), mask=mask)
    assert len(host.progress) == 3


def test_an_empty_mask_is_said_in_the_log(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    image, _ = example()
    batch = image.repeat(2, 1, 1, 1)
    with caplog.at_level(logging.WARNING):
        output = host.run(HARMONIZE, image=batch, mask=torch.zeros(1, 64, 64)).args[0]
    assert torch.equal(output, batch)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert "the mask is empty" in said[0]


def test_paste_gives_what_the_example_is(host: Host) -> None:
    with Image.open(ROOT / "examples" / "astronaut.png") as file:
        pixels = np.asarray(file.convert("RGBA")).astype(np.float32) / 255
    cutout, alpha = (
        torch.from_numpy(pixels[None, ..., :3]),
        torch.from_numpy(pixels[None, ..., 3]),
    )
    scene = picture("launchpad.jpg")
    output, place, curves = host.run(
        PASTE,
        background=scene,
        cutout=cutout,
        mask=alpha,
        at="6%,24%",
        scale="65%",
        strength=0.0,
    ).args
    composite, mask = example()
    assert (output - composite).abs().max() < 1.01 / 255
    assert (place - mask).abs().max() < 1.01 / 255
    assert curves[0].is_identity


def test_paste_says_what_is_wrong_about_a_position(host: Host) -> None:
    scene, mask = example()
    with pytest.raises(ValueError, match="expected a position X,Y"):
        host.run(PASTE, background=scene, cutout=scene, mask=mask, at="left")
    with pytest.raises(ValueError, match="expected a length"):
        host.run(PASTE, background=scene, cutout=scene, mask=mask, scale="big")


def test_apply_curves_renders_what_harmonize_did(host: Host) -> None:
    image, mask = example()
    harmonized, curves = host.run(HARMONIZE, image=image, mask=mask).args
    applied = host.run(APPLY, image=image, curves=curves, mask=mask).args[0]
    assert (applied - harmonized).abs().max() < 1 / 255
    assert torch.equal(applied[mask == 0], image[mask == 0])
    everywhere = host.run(APPLY, image=image, curves=curves).args[0]
    assert not torch.equal(everywhere[mask == 0], image[mask == 0])


def save(host: Host, curves: Any, file_format: str) -> list[str]:
    saved = host.run(SAVE, curves=curves, file_format=file_format)
    assert saved.ui is not None
    return [str(name) for name in saved.ui["text"]]


def test_saving_again_takes_the_next_number(host: Host) -> None:
    curves = (Curves.identity(), Curves.identity())
    assert save(host, curves, "json") == [
        "curves/look_00001.json",
        "curves/look_00002.json",
    ]
    assert save(host, curves, "json") == [
        "curves/look_00003.json",
        "curves/look_00004.json",
    ]


@pytest.mark.parametrize("file_format", ["json", "cube", "cube 3D", "acv", "hald"])
def test_curves_are_saved_and_loaded(host: Host, file_format: str) -> None:
    image, mask = example()
    curves = host.run(HARMONIZE, image=image, mask=mask).args[1]
    (name,) = save(host, curves, file_format)
    listed = host.nodes[LOAD].define_schema().inputs[0].options
    assert f"{name} [output]" in listed
    loaded = host.run(LOAD, file=f"{name} [output]").args[0]
    levels = np.linspace(0, 1, 256)[:, None] * np.ones(3)
    steps = 255 * np.abs(loaded[0](levels) - curves[0](levels)).max()
    assert steps <= (0 if file_format == "json" else 4)


def test_loading_notices_a_changed_and_a_missing_file(host: Host) -> None:
    look = host.input / "look.json"
    write_curves(Curves.identity(), look)
    fingerprint = host.nodes[LOAD].fingerprint_inputs
    before = fingerprint(file="look.json")
    assert fingerprint(file="look.json") == before
    x = np.array([0.0, 1.0])
    darker = Curves((x,) * 3, (x * 0.9,) * 3)
    write_curves(darker, look, overwrite=True)
    assert fingerprint(file="look.json") != before
    look.unlink()
    assert "got look.json" in host.nodes[LOAD].validate_inputs(file="look.json")


def test_match_measures_the_drift_around_the_region(host: Host) -> None:
    original, mask = picture("launchpad.jpg"), region()
    inpainted = drifted(original)
    truth = original[mask == 1].mean(0)
    before = (inpainted[mask == 1].mean(0) - truth).abs().max()
    drift = matching(host).measure_drift(
        inpainted[0].numpy(), original[0].numpy(), mask[0].numpy()
    )
    after = drift(inpainted[0].numpy())[mask[0] == 1].mean(0) - truth.numpy()
    assert before > 8 / 255
    assert np.abs(after).max() < 1.5 / 255


def test_match_applies_the_drift_and_then_the_network(host: Host) -> None:
    original, mask = picture("launchpad.jpg"), region()
    inpainted = drifted(original)
    inputs = {"original": original, "inpainted": inpainted, "mask": mask}
    matched, curves = host.run(MATCH, **inputs).args
    drift = matching(host).measure_drift(
        inpainted[0].numpy(), original[0].numpy(), mask[0].numpy()
    )
    composite = torch.where(
        mask[..., None] == 1, torch.from_numpy(drift(inpainted.numpy())), original
    )
    network = Harmonizer()(
        composite[0].numpy(), mask[0].numpy(), **seam_option()
    ).curves
    assert curves == (drift.then(network),)
    colors = torch.from_numpy(curves[0](inpainted.numpy()))
    assert torch.equal(matched[mask == 1], colors[mask == 1].clip(0, 1))
    without = host.run(MATCH, undo_drift=False, **inputs).args[1]
    assert without != curves


def test_match_keeps_the_original_around_the_region(host: Host) -> None:
    original, mask = picture("launchpad.jpg"), 0.5 * region()
    matched = host.run(
        MATCH, original=original, inpainted=drifted(original), mask=mask
    ).args[0]
    assert torch.equal(matched[mask == 0], original[mask == 0])
    assert not torch.equal(matched, original)


def test_match_measures_no_drift_between_different_pictures(host: Host) -> None:
    measure = matching(host).measure_drift
    original, mask = picture("launchpad.jpg")[0].numpy(), np.zeros((427, 640))
    assert measure(original, original, mask).is_identity
    assert measure(original[::-1].copy(), original, mask).is_identity
    assert measure(
        original[:16, :16] * 0.9, original[:16, :16], mask[:16, :16]
    ).is_identity


def test_match_wants_pictures_of_one_size(host: Host) -> None:
    original, mask = picture("launchpad.jpg"), torch.ones(1, 8, 8)
    with pytest.raises(
        Exception, match="expected the original's size, 640 x 427, got 632"
    ):
        host.run(MATCH, original=original, inpainted=original[:, :, 8:], mask=mask)


def load_image(host: Host, name: str, _: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Stand in for Load Image: the mask is 1 where the picture is transparent."""
    with Image.open(ROOT / "examples" / name) as file:
        alpha = np.asarray(file.convert("RGBA"))[..., 3].astype(np.float32) / 255
    return picture(name), torch.from_numpy(1 - alpha)[None]


def run_example(host: Host, name: str) -> tuple[torch.Tensor, dict[str, Any]]:
    """Run a workflow of the pack; give what it previews, and what our nodes gave."""
    shown: list[torch.Tensor] = []

    def preview(images: torch.Tensor) -> tuple[()]:
        shown.append(images)
        return ()

    own = {
        "LoadImage": lambda *values: load_image(host, *values),
        "LoadImageMask": lambda name, *_: (picture(name)[..., 0],),
        "InvertMask": lambda mask: (1 - mask,),
        "PreviewImage": preview,
    }
    path = PACK / "example_workflows" / f"{name}.json"
    outputs = run_workflow(host, json.loads(path.read_text(encoding="utf-8")), own)
    (image,) = shown
    return image, outputs


def test_the_workflow_harmonize_runs_on_our_pictures(host: Host) -> None:
    image, outputs = run_example(host, "harmonize")
    composite, mask = example()
    assert torch.equal(image[mask == 0], composite[mask == 0])
    assert not torch.equal(image, composite)
    (saved,) = outputs[SAVE].ui["text"]
    assert (host.output / saved).is_file()


def test_the_workflow_paste_gives_the_example(host: Host) -> None:
    image, outputs = run_example(host, "paste")
    composite, mask = example()
    assert (outputs[PASTE].args[1] - mask).abs().max() < 1.01 / 255
    assert (image - composite)[mask == 0].abs().max() < 1.01 / 255


def test_the_workflow_match_inpainted_keeps_the_original_around(host: Host) -> None:
    image, _ = run_example(host, "match_inpainted")
    original, mask = picture("launchpad.jpg"), picture("inpainted-mask.png")[..., 0]
    assert torch.equal(image[mask == 0], original[mask == 0])
    assert not torch.equal(image, picture("inpainted.jpg"))


def test_each_workflow_has_a_small_picture_for_the_template_browser() -> None:
    workflows = sorted((PACK / "example_workflows").glob("*.json"))
    assert [path.stem for path in workflows] == [
        "harmonize",
        "match_inpainted",
        "paste",
    ]
    for path in workflows:
        assert path.with_suffix(".jpg").stat().st_size < 50_000


def test_the_folder_has_the_fields_of_the_registry() -> None:
    settings = tomllib.loads((PACK / "pyproject.toml").read_text(encoding="utf-8"))
    project, comfy = settings["project"], settings["tool"]["comfy"]
    assert re.fullmatch(r"[A-Za-z]+([-_.]?[A-Za-z0-9]+)*", project["name"])
    assert len(project["name"]) < 100
    assert "comfyui" not in project["name"].lower()
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert (PACK / project["license"]["file"]).read_bytes() == (
        ROOT / "LICENSE"
    ).read_bytes()
    assert project["description"]
    assert comfy["PublisherId"]
    assert comfy["DisplayName"]
    assert (PACK / "requirements.txt").read_text().split() == ["imharmony"]
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["requires-python"] == ours["project"]["requires-python"]


def test_the_nodes_call_nothing_that_the_registry_forbids() -> None:
    for path in PACK.glob("*.py"):
        code = path.read_text(encoding="utf-8")
        assert not re.search(r"\b(eval|exec|subprocess|os\.system|pip)\b", code), path


def test_the_readme_names_every_node_with_its_inputs(host: Host) -> None:
    readme = (PACK / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\w[\w ]+) \| (.+?) \|", readme, flags=re.MULTILINE))
    for node in host.nodes.values():
        schema = node.define_schema()
        inputs = re.split(r"[,;] ", rows[schema.display_name])
        assert inputs == [slot.id for slot in schema.inputs]
