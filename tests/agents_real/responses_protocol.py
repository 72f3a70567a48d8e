"""The OpenAI Responses protocol, as far as Codex needs it: the due reply of a request, as a stream of events."""

import json
import secrets
import shlex
from collections.abc import Iterator
from typing import Any

from tests.agents_real.model_script import Failure, Reply, ToolCall, choose

_RESULTS = {"function_call_output", "custom_tool_call_output", "local_shell_call_output"}


def due_reply(request: dict[str, Any]) -> Reply:
    """What the model says to a request."""
    given = request.get("input", [])
    return choose([(given, 0)] if isinstance(given, str) else _turns(given))


def events(reply: Reply, request: dict[str, Any]) -> Iterator[bytes]:
    """The server-sent events of a reply."""
    response: dict[str, Any] = {
        "id": f"resp_{secrets.token_hex(12)}",
        "object": "response",
        "created_at": 0,
        "status": "in_progress",
        "model": request.get("model"),
        "output": [],
    }
    yield _event("response.created", response=response)
    items = list(_items(reply, {tool.get("name") or tool.get("type") for tool in request.get("tools", [])}))
    for index, item in enumerate(items):
        yield from _item_events(index, item)
    usage = {"input_tokens": 50, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 20}
    usage |= {"output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 70}
    yield _event("response.completed", response=response | {"status": "completed", "output": items, "usage": usage})


def error(failure: Failure) -> dict[str, Any]:
    """The body of an error answer."""
    code = {401: "invalid_api_key", 429: "rate_limit_exceeded"}.get(failure.status, "server_error")
    return {"error": {"message": failure.message, "type": "invalid_request_error", "param": None, "code": code}}


def _turns(items: list[dict[str, Any]]) -> list[tuple[str, int]]:
    turns: list[tuple[str, int]] = []
    for item in items:
        if item.get("type") in _RESULTS and turns:
            turns[-1] = (turns[-1][0], turns[-1][1] + 1)
        elif item.get("type", "message") == "message" and item.get("role") == "user":
            content = item["content"]
            text = content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)
            turns.append((text, 0))
    return turns


def _items(reply: Reply, tools: set[str]) -> Iterator[dict[str, Any]]:
    if reply.text:
        part = {"type": "output_text", "text": reply.text, "annotations": []}
        yield {"type": "message", "id": f"msg_{secrets.token_hex(6)}", "role": "assistant", "status": "completed", "content": [part]}
    if reply.call is not None:
        name, arguments = _codex_tool(reply.call, tools)
        identity = {"id": f"fc_{secrets.token_hex(6)}", "call_id": f"call_{secrets.token_hex(6)}"}
        yield {"type": "function_call", **identity, "name": name, "arguments": json.dumps(arguments), "status": "completed"}


def _codex_tool(call: ToolCall, tools: set[str]) -> tuple[str, dict[str, Any]]:
    """Codex offers its shell under a name that depends on the model, and writes files through it."""
    if call.kind == "call":
        return call.name, call.arguments
    command = call.arguments["command"] if call.kind == "run" else _write_command(call.arguments["path"], call.arguments["text"])
    if "exec_command" in tools:
        return "exec_command", {"cmd": command}
    if "shell_command" in tools:
        return "shell_command", {"command": command}
    return "shell", {"command": ["bash", "-c", command]}


def _write_command(path: str, text: str) -> str:
    return f"printf %s {shlex.quote(text)} > {shlex.quote(path)}"


def _item_events(index: int, item: dict[str, Any]) -> Iterator[bytes]:
    begun = item | {"content": [], "status": "in_progress"} if item["type"] == "message" else item
    yield _event("response.output_item.added", output_index=index, item=begun)
    if item["type"] == "message":
        for word in item["content"][0]["text"].split(" "):
            delta = {"item_id": item["id"], "output_index": index, "content_index": 0, "delta": f"{word} "}
            yield _event("response.output_text.delta", **delta)
    yield _event("response.output_item.done", output_index=index, item=item)


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
