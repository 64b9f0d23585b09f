"""Changes by place as JSON: the page draws them, and `render` takes them back."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    ValidationError,
)

from imharmony.curve_files.record import Record, from_json, to_json
from imharmony.curves import Curves
from imharmony.errors import CurveError
from imharmony.rendering.bilateral_grid import NUM_KNOTS, BilateralGrid
from imharmony.rendering.transform import Chain, CurveTransform, Transform
from imharmony.results import Predicted

__all__ = ["read_grid", "write_grid"]

MAX_BYTES = 2**22
"""Of a file. Those that we write have about 0.1 MB."""
MAX_NODES = 64
"""Along a side; a photo's grid has 11 or a few more."""
MAX_CHANGE = 100.0
"""Of a node. A real change is below 1; sums of much larger ones would overflow."""

_Node = Annotated[float, Field(ge=-MAX_CHANGE, le=MAX_CHANGE)]
_Channel = Annotated[
    list[_Node], Field(min_length=NUM_KNOTS + 3, max_length=NUM_KNOTS + 3)
]
_Place = Annotated[list[_Channel], Field(min_length=3, max_length=3)]
_Row = Annotated[list[_Place], Field(min_length=2, max_length=MAX_NODES)]
_Corner = Annotated[StrictInt, Field(ge=-(2**24), le=2**24)]


def _check_power(cell: int) -> int:
    if cell.bit_count() != 1:
        raise ValueError("expected a power of two")
    return cell


_Cell = Annotated[StrictInt, Field(ge=1, le=2**24), AfterValidator(_check_power)]


class _Document(BaseModel):
    """What is in a file: curves for all of the foreground, and what follows them."""

    model_config = ConfigDict(allow_inf_nan=False)

    format: Literal["imharmony-grid"]
    version: Literal[1]
    curves: dict[str, Any]
    """A curve file in JSON, as `curves` gives it."""
    corner: tuple[_Corner, _Corner]
    cell: tuple[_Cell, _Cell]
    nodes: Annotated[list[_Row], Field(min_length=2, max_length=MAX_NODES)]


def write_grid(predicted: Predicted, *, model: str) -> str:
    """Write a prediction as JSON: curves, then the grid of `BilateralGrid`.

    Where a network has only one of both, the other changes nothing.

    Examples
    --------
    >>> from imharmony.results import NO_CHANGE
    >>> text = write_grid(Predicted(NO_CHANGE), model="hdnet-lite")
    >>> text[:40], '"corner": [0, 0]' in text
    ('{"format": "imharmony-grid", "version": ', True)
    """
    curves, grid = _split(predicted.transform)
    record = Record(
        curves, label=predicted.label, strength=predicted.strength, model=model
    )
    document = {
        "format": "imharmony-grid",
        "version": 1,
        "curves": json.loads(to_json(record)),
        "corner": grid.corner,
        "cell": grid.cell,
        "nodes": grid.nodes.tolist(),
    }
    return json.dumps(document, allow_nan=False)


def _split(transform: Transform) -> tuple[Curves, BilateralGrid]:
    if isinstance(transform, Chain):
        curves, grid = transform.first.curves, transform.then
        assert curves is not None and isinstance(grid, BilateralGrid)  # noqa: S101, PT018
        return curves, grid
    if isinstance(transform, BilateralGrid):
        return Curves.identity(), transform
    assert transform.curves is not None  # noqa: S101  # there are no others
    return transform.curves, BilateralGrid.identity()


def read_grid(path: Path, *, name: str) -> Transform:
    """Read what `write_grid` wrote, exactly.

    Parameters
    ----------
    path : Path
    name : str
        What error messages call the input.

    Raises
    ------
    CurveError
        If it holds no change by place, is damaged, or too large.
    """
    if path.stat().st_size > MAX_BYTES:
        raise CurveError(f"{name}: expected at most {MAX_BYTES} bytes of JSON")
    try:
        document = _Document.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = "".join(f"{part}: " for part in first["loc"][:1])
        message = f"{name}: {where}{first['msg'][:1].lower()}{first['msg'][1:]}"
        raise CurveError(message) from error
    record = from_json(json.dumps(document.curves), name=f"{name}: curves")
    if len({len(row) for row in document.nodes}) > 1:
        raise CurveError(f"{name}: nodes: expected rows of one length")
    nodes = np.array(document.nodes, np.float32)
    grid = BilateralGrid(document.corner, document.cell, nodes)
    return Chain(CurveTransform(record.curves), grid)
