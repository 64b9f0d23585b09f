"""Debian's Firefox, by its own remote protocol (Marionette), which needs no driver."""

import base64
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

PATIENCE_S = 180
"""How long a machine with much other work may take for what takes a moment."""

# No connection of Firefox's own, and a port that is free.
_SETTINGS = {
    "marionette.port": 0,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "browser.download.folderList": 2,  # into the folder of the profile
    "browser.download.always_ask_before_handling_new_types": False,
}


class Firefox:
    """A session: one window."""

    def __init__(self, port: int) -> None:
        self._link = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._stream = self._link.makefile("rb")
        self._number = 0
        self._receive()  # the greeting
        self.ask("WebDriver:NewSession", pageLoadStrategy="normal")

    def ask(self, command: str, **parameters: Any) -> Any:
        """Send a command; give what it answers.

        Raises
        ------
        RuntimeError
            If Firefox refuses it.
        """
        self._number += 1
        message = json.dumps([0, self._number, command, parameters]).encode()
        self._link.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._receive()
        if error is not None:
            raise RuntimeError(f"{command}: {error['error']}: {error['message']}")
        return result.get("value", result) if isinstance(result, dict) else result

    def evaluate(self, text: str) -> Any:
        """Evaluate an expression in the page."""
        script = f"const {{ imharmony }} = window; return JSON.stringify({text})"
        value = self.ask("WebDriver:ExecuteScript", script=script, args=[])
        return None if value is None else json.loads(value)

    def wait(self, text: str) -> None:
        """Wait until an expression of the page's is true."""
        end = time.monotonic() + PATIENCE_S
        while not self.evaluate(text):
            if time.monotonic() > end:
                raise AssertionError(f"in vain: {text}")
            time.sleep(0.2)

    def run(self, script: str, *arguments: Any) -> None:
        """Run statements in the page, which see the arguments as `given`."""
        script = f"const given = arguments; {script}"
        self.ask("WebDriver:ExecuteScript", script=script, args=list(arguments))

    def click(self, selector: str) -> None:
        self.ask("WebDriver:ElementClick", id=self._find(selector))

    def drop(self, *paths: Path) -> None:
        """Drop files on the window."""
        files = [
            [path.name, base64.b64encode(path.read_bytes()).decode()] for path in paths
        ]
        self.run(
            """const data = new DataTransfer();
            for (const [name, text] of given[0]) {
              const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
              data.items.add(new File([bytes], name));
            }
            document.body.dispatchEvent(new DragEvent(
              "drop", { bubbles: true, cancelable: true, dataTransfer: data }));""",
            files,
        )

    def hold(self, key: str, *, is_down: bool) -> None:
        """Press a key, or let it go."""
        act = {"type": "keyDown" if is_down else "keyUp", "value": key}
        keyboard = {"type": "key", "id": "keyboard", "actions": [act]}
        self.ask("WebDriver:PerformActions", actions=[keyboard])

    def drag(self, *points: tuple[float, float]) -> None:
        """Drag the mouse from point to point of the window, or click at one."""
        moves = [
            {"type": "pointerMove", "x": round(x), "y": round(y), "duration": 0}
            for x, y in points
        ]
        press, release = (
            {"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")
        )
        mouse = {
            "type": "pointer",
            "id": "mouse",
            "actions": [moves[0], press, *moves[1:], release],
        }
        self.ask("WebDriver:PerformActions", actions=[mouse])

    def _find(self, selector: str) -> str:
        element = self.ask(
            "WebDriver:FindElement", using="css selector", value=selector
        )
        (key,) = element.values()
        return str(key)

    def close(self) -> None:
        self._stream.close()
        self._link.close()

    def _receive(self) -> Any:
        length = b""
        while not length.endswith(b":"):
            byte = self._stream.read(1)
            if not byte:
                raise RuntimeError("firefox has ended")
            length += byte
        return json.loads(self._stream.read(int(length[:-1])))


@contextmanager
def running(folder: Path) -> Iterator[Firefox]:
    """Run Firefox with a new profile in a folder, where downloads go, too."""
    settings = _SETTINGS | {"browser.download.dir": str(folder)}
    lines = [f'user_pref("{k}", {json.dumps(v)});\n' for k, v in settings.items()]
    (folder / "user.js").write_text("".join(lines))
    process = subprocess.Popen(
        [
            *("firefox-esr", "--headless", "--marionette", "--no-remote"),
            *("--profile", str(folder)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = folder / "MarionetteActivePort"
        end = time.monotonic() + PATIENCE_S
        while not (port.exists() and port.read_text()):
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError("firefox does not start")
            time.sleep(0.1)
        with closing(Firefox(int(port.read_text()))) as firefox:
            yield firefox
    finally:
        process.terminate()
        process.wait(timeout=60)
