"""Examples of bodies and answers, made from their schemas, so that no endpoint is without one."""

from collections.abc import Mapping
from typing import Any

_ID = "01987a5e-3c1f-7d2a-9b64-2f1d6a0c8e11"
_RUN = "01987a5e-4d7b-7c35-8f02-6b9e1c5a7d42"
_MOMENT = "2026-05-07T10:00:00.000000Z"

_KNOWN: dict[str, Any] = {
    "title": "Mend the fence",
    "description": "The fence of the north field has a hole. Find it and mend it.",
    "slug": "DEF-12",
    "task_number": 12,
    "number": 1,
    "repository": "gardeners/field",
    "branch": "main",
    "runtime_adapter": "claude",
    "model": "claude-sonnet-4-6",
    "provider": "anthropic",
    "reasoning_effort": "high",
    "mode": "interactive",
    "pending_user_message": "Begin with the north field.",
    "content": "And paint it, please.",
    "position": 2,
    "label": "laptop",
    "email": "ada@example.com",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "jsonrpc": "2.0",
    "method": "user_message",
    "params": {"content": "And paint it, please."},
    "result": {"queued": True, "messageId": "01980000-0000-7000-8000-0000000000aa"},
    "entries": [{"type": "notification", "notification": {"jsonrpc": "2.0", "method": "_posthog/console", "params": {"message": "Done."}}}],
    "output": {"pr_url": "https://git.example.com/gardeners/field/pull/7"},
    "state": {"mode": "interactive"},
    "stage": "build",
    "name": "gardeners/field",
    "clone_url": "https://git.example.com/gardeners/field.git",
    "log_url": "https://hedgerow.example.com/api/logs/...",
    "token": "eyJhbGciOiJSUzI1NiJ9...",
    "scopes": ["task:write"],
    "count": 1,
    "status": "queued",
    "environment": "cloud",
    "run_id": _RUN,
    "latest_run": None,
    "origin_product": "user_created",
    "internal": False,
    "public_key": "-----BEGIN PUBLIC KEY-----\n...",
    "value": "phx_...",
    "organization": "gardeners",
}
"""What fields of these names hold, where their schema allows it."""

_WRITTEN: dict[str, tuple[str, ...]] = {
    "TaskWrite": ("title", "description", "repository"),
    "TaskRunStart": ("mode", "runtime_adapter", "model", "pending_user_message"),
    "TaskRunCreate": ("mode", "branch", "environment"),
    "TaskRunBegin": ("pending_user_message",),
    "TaskRunUpdate": ("stage", "output"),
    "CommandRequest": ("jsonrpc", "method", "params", "id"),
}
"""Which fields the example of a body has besides its required ones."""


class Examples:
    """Makes examples of the schemas of one document."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas

    def body(self, schema: Mapping[str, Any]) -> Any:
        """What a client might send: the required fields, and the usual ones."""
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        resolved = self._resolved(schema)
        wanted = {*resolved.get("required", ()), *_WRITTEN.get(name, ())}
        if not wanted:
            wanted = set(list(resolved.get("properties", {}))[:2])
        return {field: self.value(part, field) for field, part in resolved.get("properties", {}).items() if field in wanted}

    def value(self, schema: Mapping[str, Any], name: str = "", depth: int = 0) -> Any:
        """Something that fits a schema; `name` is the field that it is for."""
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        if schema.get("examples"):
            return schema["examples"][0]
        resolved = self._resolved(schema)
        if "enum" in resolved:
            known = _KNOWN.get(name)
            return known if known in resolved["enum"] else resolved["enum"][0]
        if "anyOf" in resolved or "oneOf" in resolved:
            return self._one_of(resolved.get("anyOf") or resolved["oneOf"], name, depth)
        return self._of_type(resolved, name, depth)

    def _one_of(self, parts: list[Mapping[str, Any]], name: str, depth: int) -> Any:
        nullable = any(part.get("type") == "null" for part in parts)
        if nullable and (depth > 4 or name not in _KNOWN or _KNOWN[name] is None):
            return None
        return self.value(next(part for part in parts if part.get("type") != "null"), name, depth)

    def _of_type(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        kind = schema.get("type")
        if name in _KNOWN and (kind is None or isinstance(_KNOWN[name], _PYTHON.get(kind, ()))) and "format" not in schema:
            return _KNOWN[name]
        if kind == "boolean":
            return False
        if kind == "object":
            properties = schema.get("properties", {})
            return {field: self.value(part, field, depth + 1) for field, part in properties.items()}
        if kind == "array":
            empty = name.startswith(("pending", "artifact")) or not schema.get("items")
            return [] if empty and not schema.get("minItems") else [self.value(schema["items"], "", depth + 1)]
        if kind == "string":
            return {"uuid": _ID, "date-time": _MOMENT, "uri": "https://example.com/"}.get(str(schema.get("format")), "text")
        return {"integer": schema.get("minimum", 1), "number": 1}.get(str(kind))

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        return schema


_PYTHON: dict[Any, Any] = {"string": str, "integer": int, "number": (int, float), "object": dict, "array": list, "boolean": bool}
