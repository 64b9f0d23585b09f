"""Run inside GIMP: make images of some kinds, run the plug-in, write before and after.

`tests/gimp/run` has GIMP execute this file; FOLDER in the environment holds the
examples and takes the results, one folder a case.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import gi

gi.require_version("Gimp", "3.0")
from gi.repository import Gegl, Gimp, Gio  # noqa: E402

FOLDER = Path(os.environ["FOLDER"])
QUIET = Gimp.RunMode.NONINTERACTIVE
P = Gimp.Precision


def gio(path: Path) -> Gio.File:
    return Gio.File.new_for_path(str(path))


def scene(
    precision: Gimp.Precision, profile: Gimp.ColorProfile | None = None
) -> tuple[Gimp.Image, Gimp.Layer]:
    """Open the photograph, and the composite as a layer above it."""
    image = Gimp.file_load(QUIET, gio(FOLDER / "launchpad.jpg"))
    layer = Gimp.file_load_layer(QUIET, image, gio(FOLDER / "composite.png"))
    image.insert_layer(layer, None, 0)
    layer.set_name("object")
    if profile is not None:
        intent = Gimp.ColorRenderingIntent.RELATIVE_COLORIMETRIC
        image.convert_color_profile(profile, intent, True)
    if image.get_precision() != precision:
        image.convert_precision(precision)
    return image, layer


def add_mask(image: Gimp.Image, layer: Gimp.Layer) -> None:
    """Give a layer the example's mask, hard at its edges."""
    select(image)
    layer.add_mask(layer.create_mask(Gimp.AddMaskType.SELECTION))
    Gimp.Selection.none(image)


def add_alpha(image: Gimp.Image, layer: Gimp.Layer) -> None:
    """Cut the object out of its layer."""
    layer.add_alpha()
    select(image)
    Gimp.Selection.invert(image)
    layer.edit_clear()
    Gimp.Selection.none(image)


def select(image: Gimp.Image) -> None:
    """Select what is white in the example's mask."""
    mask = Gimp.file_load_layer(QUIET, image, gio(FOLDER / "mask.png"))
    image.insert_layer(mask, None, 0)
    copied = Gimp.Channel.new(
        image, "mask", image.get_width(), image.get_height(), 100, Gegl.Color.new("red")
    )
    image.insert_channel(copied, None, 0)
    whole = Gegl.Rectangle.new(0, 0, image.get_width(), image.get_height())
    pixels = mask.get_buffer().get(whole, 1.0, "Y' u8", Gegl.AbyssPolicy.NONE)
    buffer = copied.get_buffer()
    buffer.set(whole, "Y u8", bytes(255 if value > 127 else 0 for value in pixels))
    buffer.flush()
    copied.update(0, 0, image.get_width(), image.get_height())
    image.remove_layer(mask)
    image.select_item(Gimp.ChannelOps.REPLACE, copied)
    image.remove_channel(copied)


def harmonize(
    image: Gimp.Image, layer: Gimp.Layer, **options: object
) -> tuple[Gimp.PDBStatusType, str, Gimp.Layer | None]:
    """Run the plug-in; give its status, what it said, and its layer."""
    procedure = Gimp.get_pdb().lookup_procedure("plug-in-imharmony")
    config = procedure.create_config()
    config.set_property("run-mode", QUIET)
    config.set_property("image", image)
    config.set_core_object_array("drawables", [layer])
    for name, value in options.items():
        config.set_property(name, value)
    result = procedure.run(config)
    status = result.index(0)
    if status != Gimp.PDBStatusType.SUCCESS:
        return status, str(Gimp.get_pdb().get_last_error()), None
    return status, "", result.index(1)


def export(image: Gimp.Image, path: Path, *, only: int | None = None) -> None:
    """Write what is seen, flattened, or only one layer without its mask."""
    flat = image.duplicate()
    if only is None:
        flat.flatten()
    else:
        layer = flat.get_layers()[only]
        if layer.get_mask() is not None:
            layer.remove_mask(Gimp.MaskApplyMode.DISCARD)
        layer.set_visible(True)
        for other in flat.get_layers():
            if other != layer:
                flat.remove_layer(other)
    procedure = Gimp.get_pdb().lookup_procedure("file-tiff-export")
    config = procedure.create_config()
    config.set_property("run-mode", QUIET)
    config.set_property("image", flat)
    config.set_property("file", gio(path))
    config.set_property("include-color-profile", True)
    config.set_property("include-thumbnail", False)
    procedure.run(config)
    flat.delete()


def run_case(
    name: str, image: Gimp.Image, layer: Gimp.Layer, **options: object
) -> None:
    """Run the plug-in on one image and keep what a comparison needs."""
    folder = FOLDER / name
    folder.mkdir()
    export(image, folder / "before.tif")
    export(image, folder / "layer-before.tif", only=0)
    count = len(image.get_layers())
    status, said, result = harmonize(image, layer, **options)
    if result is not None:
        export(image, folder / "after.tif")
        export(image, folder / "layer-after.tif", only=0)
    facts = {
        "status": status.value_nick,
        "said": said,
        "layers_added": len(image.get_layers()) - count,
        "old_is_hidden": not layer.get_visible(),
        "name": result.get_name() if result is not None else "",
        "has_mask": result is not None and result.get_mask() is not None,
    }
    (folder / "facts.json").write_text(json.dumps(facts))
    print(name, facts, flush=True)
    image.delete()


def with_mask(image: Gimp.Image, layer: Gimp.Layer) -> tuple[Gimp.Image, Gimp.Layer]:
    add_mask(image, layer)
    return image, layer


def in_group() -> tuple[Gimp.Image, Gimp.Layer]:
    """Put the object into a group, something visible above it, and hide a layer."""
    image, layer = scene(P.U8_NON_LINEAR)
    add_mask(image, layer)
    group = Gimp.GroupLayer.new(image, "group")
    image.insert_layer(group, None, 0)
    image.reorder_item(layer, group, 0)
    return image, layer


def above() -> tuple[Gimp.Image, Gimp.Layer]:
    """Lay a hidden layer above, which neither scene nor object may see."""
    image, layer = scene(P.U8_NON_LINEAR)
    add_mask(image, layer)
    top = Gimp.Layer.new_from_drawable(layer, image)
    image.insert_layer(top, None, 0)
    top.fill(Gimp.FillType.WHITE)
    top.set_visible(False)
    return image, layer


def main() -> None:
    adobe = Gimp.ColorProfile.new_rgb_adobe()
    made: dict[str, Callable[[], tuple[Gimp.Image, Gimp.Layer]]] = {
        "8-bit-mask": lambda: with_mask(*scene(P.U8_NON_LINEAR)),
        "16-bit-mask": lambda: with_mask(*scene(P.U16_NON_LINEAR)),
        "16-bit-linear-mask": lambda: with_mask(*scene(P.U16_LINEAR)),
        "float-mask": lambda: with_mask(*scene(P.FLOAT_NON_LINEAR)),
        "float-linear-mask": lambda: with_mask(*scene(P.FLOAT_LINEAR)),
        "16-bit-adobe-rgb": lambda: with_mask(*scene(P.U16_NON_LINEAR, adobe)),
        "8-bit-group": in_group,
        "8-bit-hidden-above": above,
    }
    for name, make in made.items():
        run_case(name, *make())
    image, layer = scene(P.U8_NON_LINEAR)
    add_alpha(image, layer)
    run_case("8-bit-alpha", image, layer)
    image, layer = scene(P.U8_NON_LINEAR)
    select(image)
    run_case("8-bit-selection", image, layer)
    image, layer = with_mask(*scene(P.U8_NON_LINEAR))
    run_case("8-bit-half", image, layer, strength=0.5, label="food")
    run_case("refuses-whole", *scene(P.U8_NON_LINEAR))
    image, layer = with_mask(*scene(P.U8_NON_LINEAR))
    run_case("refuses-no-command", image, layer, command="/nowhere/imharmony")
    image, layer = with_mask(*scene(P.U8_NON_LINEAR))
    image.get_layers()[1].set_visible(False)
    run_case("refuses-no-scene", image, layer)


main()
