"""Several objects in one request: parts that may come once for each of them."""

from collections.abc import Mapping
from typing import Any

from imharmony.web import schemas
from imharmony.web.errors import ApiError

__all__ = ["MAX_OBJECTS", "describe_parts", "limit_parts", "split_fields"]

MAX_OBJECTS = 16

_OBJECTS = ("mask", "cutout")
"""Parts of which there is one for each object."""
_PARTS = (
    *_OBJECTS,
    *("at", "scale", "rotation", "flip"),
    *("curves", "grid", "label", "strength", "seam"),
)
_FORMS = (schemas.HarmonizeForm, schemas.RenderForm)


def limit_parts(form: type[schemas.Form]) -> dict[str, int]:
    """Say which parts of a form may come several times, and how often at most.

    Examples
    --------
    >>> limit_parts(schemas.HarmonizeForm)["mask"]
    16
    >>> limit_parts(schemas.CurvesForm)
    {}
    """
    names = _PARTS if form in _FORMS else ()
    return {name: MAX_OBJECTS for name in names if name in form.model_fields}


def split_fields(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give each object its own fields.

    Parameters
    ----------
    fields : mapping
        Of a request. A list has one value for each object, or one for all.

    Raises
    ------
    ApiError
        `bad_option`, if there are more or fewer.

    Examples
    --------
    >>> split_fields({"composite": "c", "mask": ["a", "b"], "label": ["food"]})
    [{'composite': 'c', 'mask': 'a', 'label': 'food'}, \
{'composite': 'c', 'mask': 'b', 'label': 'food'}]
    """
    several = {name: part for name, part in fields.items() if isinstance(part, list)}
    shared = {name: part for name, part in fields.items() if name not in several}
    num_objects = max(1, *(len(several.get(name, ())) for name in _OBJECTS))
    for name, parts in several.items():
        if len(parts) not in (1, num_objects):
            each = "one" if num_objects == 1 else f"one, or {num_objects}, one for each"
            message = f"{name}: expected {each} object; got {len(parts)}"
            raise ApiError("bad_option", message)
    return [
        shared | {name: parts[k % len(parts)] for name, parts in several.items()}
        for k in range(num_objects)
    ]


def describe_parts(form: type[schemas.Form]) -> dict[str, Any]:
    """Describe a form as a JSON schema, in which some parts may come several times."""
    schema = form.model_json_schema()
    for name, limit in limit_parts(form).items():
        part = schema["properties"][name]
        notes = {key: part.pop(key) for key in ("title", "description") if key in part}
        schema["properties"][name] = {
            **notes,
            "type": "array",
            "items": part,
            "maxItems": limit,
        }
    return schema
