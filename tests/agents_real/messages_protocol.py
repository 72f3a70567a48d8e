"""The Anthropic Messages protocol, as far as Claude Code needs it: the due reply of a request, as a stream of events."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

from tests.agents_real.model_script import Failure, Reply, ToolCall, choose

ERROR_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def due_reply(request: dict[str, Any]) -> Reply:
    """What the model says to a request. One without tools (a title, a summary) never calls one."""
    reply = choose(_turns(request.get("messages", [])))
    if reply.call is not None and not request.get("tools"):
        return Reply(text="A title")
    return reply


def events(reply: Reply, model: str) -> Iterator[bytes]:
    """The server-sent events of a reply."""
    message = _message([], model)
    yield _event("message_start", message=message)
    for index, block in enumerate(_blocks(reply)):
        yield from _block_events(index, block)
    stop = "tool_use" if reply.call is not None else "end_turn"
    yield _event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage={"output_tokens": 25})
    yield _event("message_stop")


def whole(reply: Reply, model: str) -> dict[str, Any]:
    """The same reply in one piece, for a request that does not stream."""
    stop = "tool_use" if reply.call is not None else "end_turn"
    return _message(_blocks(reply), model) | {"stop_reason": stop}


def error(failure: Failure) -> dict[str, Any]:
    """The body of an error answer."""
    return {"type": "error", "error": {"type": ERROR_KINDS.get(failure.status, "api_error"), "message": failure.message}}


def _turns(messages: list[dict[str, Any]]) -> list[tuple[str, int]]:
    turns: list[tuple[str, int]] = []
    for message in messages:
        if message.get("role") != "user":
            continue
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        results = sum(block.get("type") == "tool_result" for block in blocks)
        if results and turns:
            turns[-1] = (turns[-1][0], turns[-1][1] + results)
        else:
            turns.append(("\n".join(block["text"] for block in blocks if block.get("type") == "text"), 0))
    return turns


def _message(content: list[dict[str, Any]], model: str) -> dict[str, Any]:
    usage = {"input_tokens": 50, "output_tokens": 1, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    head = {"id": f"msg_{secrets.token_hex(10)}", "type": "message", "role": "assistant", "model": model}
    return head | {"content": content, "stop_reason": None, "stop_sequence": None, "usage": usage}


def _blocks(reply: Reply) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    if reply.call is not None:
        name, arguments = _claude_tool(reply.call)
        blocks.append({"type": "tool_use", "id": f"toolu_{secrets.token_hex(10)}", "name": name, "input": arguments})
    return blocks


def _claude_tool(call: ToolCall) -> tuple[str, dict[str, Any]]:
    if call.kind == "run":
        return "Bash", {"command": call.arguments["command"], "description": "Run a command"}
    if call.kind == "write":
        return "Write", {"file_path": call.arguments["path"], "content": call.arguments["text"]}
    return call.name, call.arguments


def _block_events(index: int, block: dict[str, Any]) -> Iterator[bytes]:
    if block["type"] == "text":
        yield _event("content_block_start", index=index, content_block={"type": "text", "text": ""})
        for word in block["text"].split(" "):
            yield _event("content_block_delta", index=index, delta={"type": "text_delta", "text": f"{word} "})
    else:
        yield _event("content_block_start", index=index, content_block=block | {"input": {}})
        piece = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield _event("content_block_delta", index=index, delta=piece)
    yield _event("content_block_stop", index=index)


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
