"""A page that describes the API, made from OpenAPI; it needs no script."""

from collections.abc import Iterator
from html import escape
from typing import Any

__all__ = ["STYLE", "write_reference"]

STYLE = """\
html { color-scheme: light dark; background: Canvas; color: CanvasText; }
html { font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; }
h2 { margin-top: 2.5rem; }
code, pre { font: 14px/1.5 ui-monospace, monospace; }
pre { padding: .75rem; border: 1px solid; border-radius: 6px; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; }
tr { border-bottom: 1px solid #8888; }
.wide { overflow-x: auto; }
"""


def write_reference(schema: dict[str, Any]) -> str:
    """Write the description as HTML.

    Parameters
    ----------
    schema : dict
        OpenAPI, from `FastAPI.openapi`.

    Returns
    -------
    str
        A page that asks for `docs/style.css` (`STYLE`), relative to itself.

    Examples
    --------
    >>> from imharmony.web.app import create_app
    >>> "POST /api/v1/harmonize" in write_reference(create_app().openapi())
    True
    """
    calls = [
        (method, path, operation)
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    ]
    links = "".join(
        f'<li><a href="#{_make_anchor(path)}">{_name(method, path)}</a>: '
        f"{escape(operation['description'])}</li>"
        for method, path, operation in calls
    )
    sections = "".join(
        part for call in calls for part in _write_call(*call, schema=schema)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<title>imharmony API</title>"
        '<link rel="icon" href="page/icon.svg">'
        '<link rel="stylesheet" href="docs/style.css"></head><body><main>'
        f"<h1>The HTTP API of imharmony {escape(schema['info']['version'])}</h1>"
        "<p>Bodies are <code>multipart/form-data</code>. Every error is JSON: a code "
        "that stays, and a sentence. The same for programs: "
        '<a href="api/v1/openapi.json">OpenAPI</a>.</p>'
        f"<ul>{links}</ul>{sections}</main></body></html>"
    )


def _write_call(
    method: str, path: str, operation: dict[str, Any], *, schema: dict[str, Any]
) -> Iterator[str]:
    yield f'<section><h2 id="{_make_anchor(path)}">{_name(method, path)}</h2>'
    yield f"<p>{escape(operation['description'])}</p>"
    body = operation.get("requestBody")
    if body is not None:
        form = body["content"]["multipart/form-data"]["schema"]
        yield f"<p>{escape(form.get('description', ''))}</p>"
        yield _write_table(
            ("part", "what", "default", ""),
            [
                (
                    f"<code>{escape(name)}</code>",
                    _describe_type(part),
                    _describe_default(name, part, form),
                    escape(part.get("description", "")),
                )
                for name, part in form["properties"].items()
            ],
        )
        yield f'<pre tabindex="0">{escape(_write_curl(path, form))}</pre>'
    yield _write_table(
        ("status", "answer"),
        [
            (status, _describe_answer(answer))
            for status, answer in sorted(
                operation["responses"].items(), key=_read_status
            )
        ],
    )
    yield "</section>"


def _write_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    cells = "".join(
        f'<th scope="col">{name}</th>' if name else "<td></td>" for name in head
    )
    lines = "".join(
        f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows
    )
    return (
        '<div class="wide" tabindex="0">'
        f"<table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _describe_type(part: dict[str, Any]) -> str:
    """Say what a part may hold.

    Examples
    --------
    >>> _describe_type({"type": "number", "minimum": 0, "maximum": 10})
    'number, 0 to 10'
    >>> _describe_type({"type": "array", "items": {"format": "binary"}})
    'files'
    >>> _describe_type({"type": "array", "items": {"type": "boolean"}})
    'yes or no; one for all objects, or for each'
    """
    if part.get("format") == "binary":
        return "file"
    if part.get("type") == "array":
        if part["items"].get("format") == "binary":
            return "files"
        return f"{_describe_type(part['items'])}; one for all objects, or for each"
    if "enum" in part:
        return " ".join(f"<code>{escape(str(word))}</code>" for word in part["enum"])
    name: str = {"string": "text", "boolean": "yes or no"}.get(
        part["type"], part["type"]
    )
    if "minimum" in part and "maximum" in part:
        name += f", {part['minimum']:g} to {part['maximum']:g}"
    return name


def _describe_default(name: str, part: dict[str, Any], form: dict[str, Any]) -> str:
    if name in form.get("required", ()):
        return "needed"
    default = part.get("items", part).get("default")
    if default is None or default == []:
        return ""
    return f"<code>{escape(str(default).lower())}</code>"


def _describe_answer(answer: dict[str, Any]) -> str:
    media = [name for name in answer.get("content", {}) if name != "application/json"]
    return ", ".join(escape(name) for name in media) or "JSON"


def _write_curl(path: str, form: dict[str, Any]) -> str:
    """Write a call with the parts that it needs."""
    parts = ["-F composite=@composite.png", "-F mask=@mask.png"]
    parts += [f"-F {name}=@{name}" for name in form.get("required", ())]
    return f"curl {' '.join(parts)} http://127.0.0.1:8000{path} --output answer"


def _read_status(item: tuple[str, Any]) -> str:
    return item[0]


def _name(method: str, path: str) -> str:
    return f"{method.upper()} {escape(path)}"


def _make_anchor(path: str) -> str:
    return path.rpartition("/")[2]
