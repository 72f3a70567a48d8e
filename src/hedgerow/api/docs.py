"""The documentation as a page: rendered here from the OpenAPI document, with nothing to load from elsewhere and no script."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2421; --soft: #5c665f; --line: #d9dfda; --paper: #fbfcfa; --leaf: #1f6f43; --pane: #f1f4f0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eae6; --soft: #9ba69e; --line: #323a35; --paper: #161a17; --leaf: #7cc596; --pane: #1f2521; }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
a { color: var(--leaf); text-decoration: none; } a:hover { text-decoration: underline; }
code, pre { font: 0.875em/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
pre { background: var(--pane); border: 1px solid var(--line); border-radius: 6px; padding: 0.7rem 0.9rem;
  overflow-x: auto; margin: 0.4rem 0; }
.plain { max-width: 46rem; margin: 3rem auto; padding: 0 1.2rem; }
.docs { display: grid; grid-template-columns: 17rem minmax(0, 1fr); }
nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1.2rem; border-right: 1px solid var(--line); font-size: 0.9rem; }
nav p { margin: 1.1rem 0 0.2rem; font-weight: 600; } nav ul { list-style: none; margin: 0; padding: 0; }
nav li { padding: 0.08rem 0; } nav li a { color: var(--ink); }
main { padding: 1.5rem clamp(1rem, 4vw, 3rem); max-width: 62rem; }
h1 { margin-top: 0; } h2 { margin: 3rem 0 0.3rem; } h3 { margin: 0; font-size: 1.05rem; }
h4 { margin: 1rem 0 0.2rem; font-size: 0.85rem; color: var(--soft); }
article { border-top: 1px solid var(--line); padding: 1.2rem 0; }
.path { overflow-wrap: anywhere; }
.method { display: inline-block; min-width: 3.4rem; margin-right: 0.4rem; padding: 0 0.4rem; border-radius: 4px; text-align: center;
  font: 600 0.75rem/1.6 ui-monospace, monospace; color: #fff; background: #47695a; }
nav .method { min-width: 2.9rem; font-size: 0.62rem; padding: 0 0.2rem; }
.GET { background: #2b6ea8; } .POST { background: #2c7a4b; } .PATCH, .PUT { background: #96661a; } .DELETE { background: #a63d34; }
.note { color: var(--soft); font-size: 0.9rem; margin: 0.2rem 0; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.92rem; }
td { text-align: left; vertical-align: top; padding: 0.2rem 1.2rem 0.2rem 0; border-bottom: 1px solid var(--line); }
details { margin: 0.5rem 0; } summary { cursor: pointer; color: var(--soft); font-size: 0.9rem; }
@media (max-width: 50rem) { .docs { display: block; } nav { position: static; height: auto; border: 0; } }
"""


def front_page() -> str:
    """The page at `/`."""
    return _page(
        "hedgerow",
        '<div class="plain"><h1>hedgerow</h1><p>This server runs coding agents as tasks.</p>'
        '<p><a href="/api/docs/">The API\'s documentation</a> · <a href="/api/schema/">its OpenAPI document</a></p></div>',
    )


def documentation_page(document: Mapping[str, Any]) -> str:
    """Every operation, by groups, and every schema of an OpenAPI document."""
    info, groups = document["info"], _groups(document)
    sentences = {tag["name"]: tag.get("description", "") for tag in document["tags"]}
    head = (
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{_marked(info['description'])}</p>"
        '<p><a href="/api/schema/">The OpenAPI document</a> of this page.</p>'
    )
    sections = [
        f'<section><h2 id="{_anchor(group)}">{escape(group)}</h2><p class="note">{escape(sentences[group])}</p>'
        + "".join(_operation(document, *found) for found in operations)
        + "</section>"
        for group, operations in groups.items()
    ]
    schemas = [_schema(name, schema) for name, schema in document["components"]["schemas"].items()]
    main = f'<main>{head}{"".join(sections)}<h2 id="schemas">Schemas</h2>{"".join(schemas)}</main>'
    return _page(f"{info['title']} API", f'<div class="docs">{_navigation(groups)}{main}</div>')


Found = tuple[str, str, Mapping[str, Any]]  # path, method, operation


def _groups(document: Mapping[str, Any]) -> dict[str, list[Found]]:
    groups: dict[str, list[Found]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups[operation["tags"][0]].append((path, method.upper(), operation))
    return groups


def _navigation(groups: Mapping[str, Sequence[Found]]) -> str:
    parts = []
    for group, operations in groups.items():
        items = "".join(
            f'<li><a href="#{escape(operation["operationId"])}">{_method(method)}{escape(operation["summary"])}</a></li>'
            for _path, method, operation in operations
        )
        parts.append(f'<p><a href="#{_anchor(group)}">{escape(group)}</a></p><ul>{items}</ul>')
    return f'<nav aria-label="Operations"><a href="/">hedgerow</a>{"".join(parts)}<p><a href="#schemas">Schemas</a></p></nav>'


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )


def _operation(document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> str:
    name = escape(operation["operationId"])
    parts = [
        f'<article id="{name}"><h3><a href="#{name}">{escape(operation["summary"])}</a></h3>',
        f'<p class="path">{_method(method)}<code>{escape(path)}</code></p>',
        f"<p>{_marked(operation.get('description', ''))}</p>",
        _scope(operation),
        _parameters(operation.get("parameters", [])),
    ]
    for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<h4>Body: {_kind(body['schema'])} <code>{escape(media_type)}</code></h4>{_example(body)}")
    parts.append(_answers(document, operation["responses"]))
    return "".join(parts) + "</article>"


def _scope(operation: Mapping[str, Any]) -> str:
    security = operation.get("security") or []
    if not security:
        return '<p class="note">Needs no key.</p>'
    scopes = security[0]["personal_api_key"]
    return f'<p class="note">Needs a key{" with scope " + escape(", ".join(scopes)) if scopes else ""}.</p>'


def _parameters(parameters: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (f"<code>{escape(p['name'])}</code>", escape(p["in"]), _kind(p["schema"]), _marked(p.get("description", ""))) for p in parameters
    ]
    return ("<h4>Parameters</h4>" + _table(rows)) if rows else ""


def _answers(document: Mapping[str, Any], responses: Mapping[str, Any]) -> str:
    """What succeeds, with its example; and below, folded up, what does not."""
    shown, errors = [], []
    for status, response in sorted(responses.items()):
        resolved = _resolved(document, response)
        contents = resolved.get("content", {})
        kinds = " or ".join(_kind(content.get("schema", {})) for content in contents.values())
        if status >= "400":
            errors.append((f"<code>{escape(status)}</code>", kinds, escape(resolved.get("description", ""))))
            continue
        media_types = ", ".join(f"<code>{escape(media_type)}</code>" for media_type in contents)
        shown.append(f"<h4>Answer {escape(status)}: {kinds or 'nothing'} {media_types}</h4>")
        rows = [
            (f"<code>{escape(name)}</code>", escape(header.get("description", ""))) for name, header in resolved.get("headers", {}).items()
        ]
        shown.append(_table(rows) + "".join(_example(content) for content in contents.values()))
    return "".join(shown) + f"<details><summary>Errors</summary>{_table(errors)}</details>"


def _resolved(document: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in part:
        return part
    resolved: Mapping[str, Any] = document["components"]["responses"][part["$ref"].rpartition("/")[2]]
    return resolved


def _example(content: Mapping[str, Any]) -> str:
    if "example" not in content:
        return ""
    example = content["example"]
    return f"<pre>{escape(example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False))}</pre>"


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [
        (f"<code>{escape(field)}</code>", _kind(part), "required" if field in required else "", _marked(part.get("description", "")))
        for field, part in schema.get("properties", {}).items()
    ]
    values = ", ".join(f"<code>{escape(str(value))}</code>" for value in schema.get("enum", []))
    about = f"<p>{_marked(schema.get('description', ''))}</p>" + (f"<p>{values}</p>" if values else "")
    return f'<article id="{escape(name)}"><h3>{escape(name)}</h3>{about}{_table(rows)}</article>'


def _kind(schema: Mapping[str, Any]) -> str:
    """A schema in a few words, with a link where it has a name."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[1])
        return f'<a href="#{name}">{name}</a>'
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_kind(part) for part in schema[several])
    if "enum" in schema:
        return escape(" | ".join(str(value) for value in schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return escape(str(schema.get("format") or schema.get("type") or schema.get("const", "anything")))


def _method(method: str) -> str:
    return f'<span class="method {escape(method)}">{escape(method)}</span>'


def _marked(text: str) -> str:
    """A text in which what stands between backticks is code, and paragraphs are kept."""
    pieces = escape(text).replace("\n\n", "</p><p>").split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))


def _anchor(group: str) -> str:
    return "group-" + "".join(character if character.isalnum() else "-" for character in group.lower())


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    cells = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    return '<div class="table"><table>' + "".join(f"<tr>{row}</tr>" for row in cells) + "</table></div>" if cells else ""
