"""Run inside GIMP with a display: show an image, and the plug-in's dialog."""

import os
from pathlib import Path

import gi

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp  # noqa: E402

cases: dict[str, object] = {}
exec(Path(os.environ["CASES"]).read_text().replace("\nmain()\n", "\n"), cases)
image, layer = cases["with_mask"](  # type: ignore[operator]
    *cases["scene"](Gimp.Precision.U8_NON_LINEAR)  # type: ignore[operator]
)
image.undo_enable()  # off for images that a script opens
Gimp.Display.new(image)
procedure = Gimp.get_pdb().lookup_procedure("plug-in-imharmony")
config = procedure.create_config()
config.set_property("run-mode", Gimp.RunMode.INTERACTIVE)
config.set_property("image", image)
config.set_core_object_array("drawables", [layer])
print("status", procedure.run(config).index(0), flush=True)
