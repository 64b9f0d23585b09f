"""The dialog: what can be chosen, and a preview that keeps up with it."""

from pathlib import Path

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
from command import CommandError, Run, find, options  # noqa: E402
from gi.repository import GdkPixbuf, Gimp, GimpUi, GLib, Gtk  # noqa: E402
from scene import Scene  # noqa: E402

__all__ = ["ask"]

SETTLE_MS = 250  # after the last movement of a slider
POLL_MS = 60


def ask(
    procedure: Gimp.Procedure, config: Gimp.ProcedureConfig, scene: Scene, folder: Path
) -> bool:
    """Show the dialog; say whether it was confirmed. The config holds the choices."""
    GimpUi.init("imharmony")
    dialog = GimpUi.ProcedureDialog.new(procedure, config, "Harmonize Layer")
    preview = Preview(config, scene, folder)
    dialog.get_content_area().pack_start(preview.widget, True, True, 6)
    dialog.fill(["strength", "label", "seam", "command"])
    preview.start()
    try:
        return bool(dialog.run())
    finally:
        preview.stop()
        dialog.destroy()


class Preview:
    """Before and after at a small size, by the curves of the whole picture."""

    def __init__(
        self, config: Gimp.ProcedureConfig, scene: Scene, folder: Path
    ) -> None:
        self._config, self._scene, self._folder = config, scene, folder
        self._work: Run | None = None
        self._rest: list[list[str | Path]] = []
        self._timer = 0
        self._poll = 0
        self._is_after = True
        self._picture = Gtk.Image()
        self._said = Gtk.Label(xalign=0, wrap=True, max_width_chars=60)
        self._before = _load(scene.small_composite)
        self._after: GdkPixbuf.Pixbuf | None = None
        check = Gtk.CheckButton(label="Show the result", active=True)
        check.connect("toggled", self._toggle)
        self.widget = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6, margin=6)
        for part in (self._picture, check, self._said):
            self.widget.pack_start(part, False, False, 0)
        self.widget.show_all()
        for name in ("strength", "label", "seam", "command"):
            config.connect(f"notify::{name}", self._changed)

    def start(self) -> None:
        """Show the picture as it is, and set to work."""
        self._show()
        self._begin()

    def stop(self) -> None:
        """End what is at work."""
        for source in (self._timer, self._poll):
            if source:
                GLib.source_remove(source)
        self._timer = self._poll = 0
        if self._work is not None:
            self._work.stop()
            self._work = None

    def _toggle(self, check: Gtk.CheckButton) -> None:
        self._is_after = check.get_active()
        self._show()

    def _show(self) -> None:
        is_after = self._is_after and self._after is not None
        self._picture.set_from_pixbuf(self._after if is_after else self._before)

    def _changed(self, *_: object) -> None:
        """Wait until the last of several changes."""
        if self._timer:
            GLib.source_remove(self._timer)
        self._timer = GLib.timeout_add(SETTLE_MS, self._begin)

    def _begin(self) -> bool:
        self._timer = 0
        self.stop()
        self._said.set_text("Working…")
        look, after = self._folder / "preview.json", self._folder / "preview.png"
        scene = self._scene
        chosen = [self._config.get_property(n) for n in ("strength", "label", "seam")]
        try:
            program = find(self._config.get_property("command") or "")
        except CommandError as error:
            self._said.set_text(str(error))
            return False
        self._rest = [
            [program, "curves", scene.composite, scene.mask, *options(*chosen)],
            [program, "apply", look, scene.small_composite, scene.small_mask],
        ]
        self._rest[0] += ["--output", look, "--overwrite"]
        self._rest[1] += ["--output", after, "--overwrite"]
        self._work = Run(self._rest.pop(0))
        self._poll = GLib.timeout_add(POLL_MS, self._look)
        return False

    def _look(self) -> bool:
        """Go on with the next command once one has ended."""
        if self._work is None or not self._work.is_done:
            return True
        try:
            self._work.check()
        except CommandError as error:
            self._said.set_text(str(error))
            self._work, self._poll = None, 0
            return False
        if self._rest:
            self._work = Run(self._rest.pop(0))
            return True
        self._work, self._poll = None, 0
        self._after = _load(self._folder / "preview.png")
        self._said.set_text("")
        self._show()
        return False


def _load(path: Path) -> GdkPixbuf.Pixbuf:
    return GdkPixbuf.Pixbuf.new_from_file(str(path))
