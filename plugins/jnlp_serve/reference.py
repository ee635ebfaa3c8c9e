"""The reference at `/docs`: the OpenAPI description as one page, without scripts and without files from elsewhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from jnlp.strict_json import dumps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: light-dark(#555, #aaa); --accent: light-dark(#0b57a4, #8ab8f0) }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.5rem; text-transform: capitalize }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; padding: .5rem .8rem }
summary { cursor: pointer } summary code { font-size: 1rem } summary span { color: var(--dim) }
.method { color: var(--accent); font-weight: 600; display: inline-block; min-width: 3.4rem }
table { border-collapse: collapse; width: 100%; font-size: .92rem; margin: .5rem 0 }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line) }
code, pre { font-family: ui-monospace, monospace; font-size: .9rem } pre { overflow-x: auto }
a { color: var(--accent) }
"""

DEPTH = 3
"""Levels of nested objects that are written out."""


def reference(document: Mapping[str, Any], /) -> str:
    """Return an OpenAPI document as an HTML page."""
    parts = "".join(_sections(document))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>jnlp API</title>'
        '<link rel="stylesheet" href="/docs/style.css"></head><body>'
        f"<h1>jnlp {escape(str(document['info']['version']))}: HTTP API</h1>"
        '<p>All bodies are JSON in UTF-8. <a href="/openapi.json">The same as OpenAPI</a>.</p>'
        f"{parts}</body></html>"
    )


def _sections(document: Mapping[str, Any]) -> Iterator[str]:
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = operation.get("tags", ["other"])[0]
            by_tag.setdefault(tag, []).append(_operation(document, path, method, operation))
    for tag, operations in by_tag.items():
        yield f"<h2>{escape(tag)}</h2>{''.join(operations)}"


def _operation(document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> str:
    head = (
        f'<span class="method">{method.upper()}</span> <code>{escape(path)}</code> '
        f"<span>{escape(operation.get('summary', ''))}</span>"
    )
    body = ""
    if operation.get("description"):
        body += f"<p>{escape(operation['description'])}</p>"
    parameters = operation.get("parameters", [])
    if parameters:
        body += "<h4>Query</h4>" + _table(
            (one["name"], one.get("schema", {}), one.get("description", ""), one.get("required", False))
            for one in parameters
        )
    for title, content in (
        ("Body", operation.get("requestBody", {}).get("content", {})),
        ("Reply", operation.get("responses", {}).get("200", {}).get("content", {})),
    ):
        schema = _resolve(document, content.get("application/json", {}).get("schema", {}))
        if schema:
            body += f"<h4>{title}</h4>{_described(document, schema)}"
    return f"<details><summary>{head}</summary>{body}</details>"


def _described(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    properties = schema.get("properties")
    if not properties:
        return f"<p><code>{escape(_kind(document, schema))}</code></p>"
    required = schema.get("required", [])
    table = _table(
        (
            name,
            {"type": _kind(document, one), **{k: one[k] for k in ("default",) if k in one}},
            one.get("description", ""),
            name in required,
        )
        for name, one in properties.items()
    )
    example = schema.get("example") or (schema.get("examples") or [None])[0]
    return table + (f"<pre>{escape(dumps(example, indent=2))}</pre>" if example else "")


def _table(rows: Any) -> str:
    cells = "".join(
        f"<tr><td><code>{escape(name)}</code>{' *' if required else ''}</td>"
        f"<td><code>{escape(str(schema.get('type', 'any')))}</code></td>"
        f"<td>{escape(dumps(schema['default'])) if 'default' in schema else ''}</td><td>{escape(text)}</td></tr>"
        for name, schema, text, required in rows
    )
    return f"<table><tr><th>Name</th><th>Type</th><th>Default</th><th>Meaning</th></tr>{cells}</table>"


def _resolve(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Mapping[str, Any] = document["components"]["schemas"].get(reference.rpartition("/")[2], {})
    return found


def _kind(document: Mapping[str, Any], schema: Mapping[str, Any], depth: int = 0) -> str:
    """Return a type in words: `string`, `string | list of string`, `{text: string, …}`."""
    schema = _resolve(document, schema)
    if "enum" in schema:
        return " | ".join(dumps(value) for value in schema["enum"])
    if "const" in schema:
        return dumps(schema["const"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " | ".join(dict.fromkeys(_kind(document, one, depth) for one in schema[key]))
    if schema.get("type") == "array":
        return f"list of {_kind(document, schema.get('items', {}), depth)}"
    if properties := schema.get("properties"):
        if depth >= DEPTH:
            return "object"
        inner = ", ".join(f"{name}: {_kind(document, one, depth + 1)}" for name, one in properties.items())
        return f"{{{inner}}}"
    return str(schema.get("type", "any"))
