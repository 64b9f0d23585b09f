#!/usr/bin/env python3
"""Filters > Color > Harmonize Layer: make a layer fit what lies below it.

The layer's alpha, its mask and the selection say what the object is; the visible
layers below are the scene. The command `imharmony` predicts curves and recolors the
layer, which comes back as a new layer above the old one.
"""

import sys
import tempfile
from pathlib import Path

import gi

gi.require_version("Gimp", "3.0")
from command import CommandError, find, options, run  # noqa: E402
from gi.repository import Gimp, GLib, GObject  # noqa: E402
from scene import Scene, SceneError, export, insert  # noqa: E402

PROCEDURE = "plug-in-imharmony"
LABELS = {
    "guess": "Guess",
    "person": "Person",
    "animal": "Animal",
    "food": "Food",
    "vehicle": "Vehicle",
    "others": "Others",
}
SEAMS = {
    "auto": "Let the network decide",
    "trust": "Same thing on both sides, as after inpainting",
    "ignore": "Different things, as for a cut-out",
}


class Imharmony(Gimp.PlugIn):
    """The one procedure of this plug-in."""

    def do_set_i18n(self, name: str) -> bool:
        """Say that there are no translations."""
        return False

    def do_query_procedures(self) -> list[str]:
        """Name the procedures."""
        return [PROCEDURE]

    def do_create_procedure(self, name: str) -> Gimp.Procedure:
        """Describe the procedure to GIMP."""
        procedure = Gimp.ImageProcedure.new(
            self, name, Gimp.PDBProcType.PLUGIN, self.run, None
        )
        procedure.set_image_types("RGB*, GRAY*")
        procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE)
        procedure.set_menu_label("_Harmonize Layer…")
        procedure.add_menu_path("<Image>/Filters/Color")
        procedure.set_documentation(
            "Make a layer fit the colors of what lies below it",
            "Alpha, layer mask and selection say what the object is. The visible "
            "layers below are the scene. The result is a new layer above.",
            name,
        )
        procedure.set_attribution("The imharmony authors", "MIT license", "2026")
        flags = GObject.ParamFlags.READWRITE
        procedure.add_double_argument(
            "strength",
            "_Strength",
            "How much of the change to apply: 0 none, 1 all, above 1 exaggerates",
            0.0,
            2.0,
            1.0,
            flags,
        )
        for option, title, names, help_text in (
            ("label", "_Label", LABELS, "What the object is"),
            (
                "seam",
                "S_eam",
                SEAMS,
                "Whether pixels on both sides of the object's edge show the same thing",
            ),
        ):
            choice = Gimp.Choice.new()
            for number, (nick, text) in enumerate(names.items()):
                choice.add(nick, number, text, "")
            procedure.add_choice_argument(
                option, title, help_text, choice, next(iter(names)), flags
            )
        procedure.add_string_argument(
            "command",
            "_Command",
            "Where the command imharmony is; empty looks in the usual places",
            "",
            flags,
        )
        procedure.add_layer_return_value(
            "harmonized", "Harmonized", "The new layer", False, flags
        )
        return procedure

    def run(
        self,
        procedure: Gimp.Procedure,
        run_mode: Gimp.RunMode,
        image: Gimp.Image,
        drawables: list[Gimp.Drawable],
        config: Gimp.ProcedureConfig,
        data: None,
    ) -> Gimp.ValueArray:
        """Run the procedure with or without its dialog."""
        status = Gimp.PDBStatusType
        try:
            layer = _only_layer(drawables)
            with tempfile.TemporaryDirectory(prefix="imharmony-") as folder:
                scene = export(image, layer, Path(folder))
                if run_mode == Gimp.RunMode.INTERACTIVE:
                    from dialog import ask

                    if not ask(procedure, config, scene, Path(folder)):
                        return procedure.new_return_values(status.CANCEL, None)
                recolored = _recolor(scene, config, Path(folder))
                result = insert(image, layer, recolored)
        except (CommandError, SceneError) as error:
            return procedure.new_return_values(
                status.EXECUTION_ERROR, GLib.Error(str(error))
            )
        Gimp.displays_flush()
        values = procedure.new_return_values(status.SUCCESS, None)
        values.remove(1)
        values.insert(1, GObject.Value(Gimp.Layer, result))
        return values


def _only_layer(drawables: list[Gimp.Drawable]) -> Gimp.Layer:
    if len(drawables) != 1 or not isinstance(drawables[0], Gimp.Layer):
        raise SceneError("Choose one layer, the one with the object.")
    if isinstance(drawables[0], Gimp.LayerMask):
        raise SceneError("Choose the layer itself, not its mask.")
    return drawables[0]


def _recolor(scene: Scene, config: Gimp.ProcedureConfig, folder: Path) -> Path:
    """Ask the command for the curves, and have it apply them to the layer."""
    program = find(config.get_property("command") or "")
    chosen = [config.get_property(name) for name in ("strength", "label", "seam")]
    look, recolored = folder / "look.json", folder / "recolored.tif"
    mask = [] if scene.selection is None else [scene.selection]
    Gimp.progress_init("Harmonizing")
    run(
        [program, "curves", scene.composite, scene.mask, "-o", look, *options(*chosen)],
        waiting=Gimp.progress_pulse,
    )
    run(
        [program, "apply", look, scene.layer, *mask, "-o", recolored],
        waiting=Gimp.progress_pulse,
    )
    Gimp.progress_end()
    return recolored


if __name__ == "__main__":
    Gimp.main(Imharmony.__gtype__, sys.argv)
