"""The documentation as a page: rendered here from the OpenAPI document, with nothing to load from elsewhere."""

from collections.abc import Sequence
from html import escape
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h2 { border-top: 1px solid #ccc; padding-top: 1.2rem; margin-top: 2rem; font-size: 1.1rem; }
code { font: 0.9em ui-monospace, monospace; }
.method { display: inline-block; min-width: 4.2rem; font-weight: bold; color: #06623b; }
table { border-collapse: collapse; margin: 0.4rem 0 1rem; }
td, th { text-align: left; vertical-align: top; padding: 0.15rem 1.2rem 0.15rem 0; }
.note { color: #666; }
"""


def front_page() -> str:
    """The page at `/`."""
    return _page(
        "hedgerow",
        "<h1>hedgerow</h1><p>This server runs coding agents as tasks.</p>"
        '<p><a href="/api/docs/">The API\'s documentation</a> · <a href="/api/schema/">its OpenAPI document</a></p>',
    )


def documentation_page(document: dict[str, Any]) -> str:
    """Every operation and every schema of an OpenAPI document."""
    info = document["info"]
    head = f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
    operations = [
        _operation(method, path, operation) for path, methods in document["paths"].items() for method, operation in methods.items()
    ]
    schemas = [_schema(name, schema) for name, schema in document["components"]["schemas"].items()]
    link = '<p><a href="/api/schema/">The OpenAPI document</a></p>'
    return _page(f"{info['title']} API", head + link + "".join(operations) + "<h1>Schemas</h1>" + "".join(schemas))


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    name = escape(operation["operationId"])
    parts = [
        f'<h2 id="{name}"><span class="method">{escape(method.upper())}</span> <code>{escape(path)}</code></h2>',
        f"<p>{escape(operation.get('description', ''))}</p>",
        _scope(operation),
        _parameters(operation.get("parameters", [])),
    ]
    content = operation.get("requestBody", {}).get("content", {})
    parts += [f"<p>Body: {_kind(body['schema'])}</p>" for body in content.values()]
    parts.append(_answers(operation["responses"]))
    return "".join(parts)


def _scope(operation: dict[str, Any]) -> str:
    security = operation.get("security") or []
    if not security:
        return '<p class="note">Needs no key.</p>'
    scopes = security[0]["personal_api_key"]
    return f'<p class="note">Needs a key{" with scope " + escape(", ".join(scopes)) if scopes else ""}.</p>'


def _parameters(parameters: list[dict[str, Any]]) -> str:
    rows = [
        (f"<code>{escape(p['name'])}</code>", escape(p["in"]), _kind(p["schema"]), escape(p.get("description", ""))) for p in parameters
    ]
    return _table(rows)


def _answers(responses: dict[str, Any]) -> str:
    rows = []
    for status, response in sorted(responses.items()):
        kinds = [_kind(content.get("schema", {})) for content in response.get("content", {}).values()]
        rows.append((f"<code>{escape(status)}</code>", " ".join(kinds), escape(response.get("description", ""))))
    return "<p>Answers:</p>" + _table(rows)


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [
        (f"<code>{escape(field)}</code>", _kind(part), "required" if field in required else "", escape(part.get("description", "")))
        for field, part in schema.get("properties", {}).items()
    ]
    values = escape(", ".join(str(value) for value in schema.get("enum", [])))
    return f'<h2 id="{escape(name)}">{escape(name)}</h2><p>{escape(schema.get("description", ""))}</p><p>{values}</p>{_table(rows)}'


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words, with a link where it has a name."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[1])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(part) for part in schema["anyOf"])
    if "enum" in schema:
        return escape(" | ".join(str(value) for value in schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return escape(schema.get("format") or schema.get("type") or str(schema.get("const", "anything")))


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    cells = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>" if rows else ""
