"""ONNX files written byte by byte, so that tests need no other package.

Field numbers are those of onnx.proto, IR version 8.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def varint(number: int) -> bytes:
    low, high = number & 127, number >> 7
    return bytes([low | 128]) + varint(high) if high else bytes([low])


def field(number: int, content: int | str | bytes) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    payload = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def tensor(name: str, values: npt.NDArray[Any]) -> bytes:
    kind = {"float32": 1, "int64": 7}[values.dtype.name]
    dims = b"".join(field(1, length) for length in values.shape)
    return dims + field(2, kind) + field(8, name) + field(9, values.tobytes())


def value(name: str, shape: tuple[int, ...]) -> bytes:
    dims = field(1, field(2, "batch"))
    dims += b"".join(field(1, field(1, length)) for length in shape)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, dims)))


def node(operator: str, inputs: list[str], output: str) -> bytes:
    names = b"".join(field(1, name) for name in inputs)
    return names + field(2, output) + field(4, operator)


def metadata(fields: dict[str, str]) -> bytes:
    """Entries that may follow a whole file, where they replace older ones."""
    pairs = (field(1, key) + field(2, text) for key, text in fields.items())
    return b"".join(field(14, pair) for pair in pairs)


def model(graph: bytes) -> bytes:
    opset = field(1, "") + field(2, 17)
    return field(1, 8) + field(8, opset) + field(7, graph)


def picture_network(
    size: tuple[int, int],
    *,
    gain: npt.ArrayLike = 1.0,
    exponent: npt.ArrayLike = 1.0,
) -> bytes:
    """A network that turns the foreground I into min(I ** exponent * gain, 1).

    Both are broadcast to (1, 3, h, w). Foreground is where the mask is above one half.
    """
    constants = {"gain": gain, "exponent": exponent, "one": 1.0, "half": 0.5}
    graph = field(2, "picture")
    for step in (
        node("Pow", ["composite", "exponent"], "toned"),
        node("Mul", ["toned", "gain"], "lit"),
        node("Min", ["lit", "one"], "clipped"),
        node("Greater", ["mask", "half"], "inside"),
        node("Where", ["inside", "clipped", "composite"], "harmonized"),
    ):
        graph += field(1, step)
    for name, number in constants.items():
        array = np.atleast_1d(np.asarray(number, np.float32))
        graph += field(5, tensor(name, array))
    for name, channels in (("composite", 3), ("mask", 1)):
        graph += field(11, value(name, (channels, *size)))
    graph += field(12, value("harmonized", (3, *size)))
    return model(graph)


def picture_contract(size: tuple[int, int], **changes: Any) -> dict[str, str]:
    """The metadata of a network that gives a picture."""
    fields = {
        "variant": "hdnet-by-hand",
        "thumbnail_size": list(size),
        "checkpoint_sha256": "0" * 64,
        "output": "picture",
    }
    contract = json.dumps(fields | changes)
    return {"format": "imharmony-weights-1", "contract": contract}


def write_picture_weights(
    folder: Path,
    *,
    size: tuple[int, int] = (64, 64),
    gain: npt.ArrayLike = 1.0,
    exponent: npt.ArrayLike = 1.0,
    **changes: Any,
) -> Path:
    """Write such a network as a weights file."""
    path = folder / "picture.onnx"
    network = picture_network(size, gain=gain, exponent=exponent)
    path.write_bytes(network + metadata(picture_contract(size, **changes)))
    return path
