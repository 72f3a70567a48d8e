"""`POST /command`: JSON-RPC calls of a client, checked and carried out (agent protocol, contract 9.4)."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hedgerow.acp_lines import request_error_class
from hedgerow.agent_server.acp_session import sentence_of
from hedgerow.agent_server.host import Host, NoSessionError
from hedgerow.agent_server.inbox import Prompt
from hedgerow.agent_server.permissions import UnknownOptionError, UnknownRequestError

INVALID_PARAMS = -32602
FAILED = -32000
BLOCKS_PREFIX = "__twig_cloud_prompt_v1__:"  # a block list inside a string; the name is the clients' own
_FLUSH_SECONDS = 10.0
_LONGEST_CLOSE_SECONDS = 600.0


class ParamsError(Exception):
    """The call cannot be carried out as it stands."""


class FailedError(Exception):
    """The call was carried out and failed."""


@dataclass(frozen=True, slots=True)
class Call:
    """A sound JSON-RPC envelope."""

    id: str | int | float | None
    method: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A JSON-RPC answer. `accepted`: the work goes on after it."""

    document: dict[str, Any]
    accepted: bool = False


def read_call(body: bytes) -> Call:
    """The call that a body holds; ValueError says what is wrong with the envelope."""
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError("The body must be a JSON object.") from error
    if not isinstance(document, dict) or document.get("jsonrpc") != "2.0":
        raise ValueError('The body must be a JSON-RPC 2.0 object with "jsonrpc": "2.0".')
    method, params, call_id = document.get("method"), document.get("params", {}), document.get("id")
    if not isinstance(method, str) or not method:
        raise ValueError("method must be a string.")
    if not isinstance(params, dict):
        raise ValueError("params must be an object.")
    if isinstance(call_id, bool) or not isinstance(call_id, str | int | float | None):
        raise ValueError("id must be a string, a number or null.")
    return Call(call_id, method, params)


async def carry_out(host: Host, call: Call, *, respond_async: bool) -> Outcome:
    """Do what a call says. Its failure is part of the answer; NoSessionError where no agent is there."""
    method = _METHODS.get(call.method.removeprefix("_posthog/"))
    try:
        if method is None:
            raise ParamsError(f"Unknown method {call.method!r}; known are {', '.join(_METHODS)}.")
        if method is _user_message and respond_async and call.params.get("message_id") is not None:
            _accept(host, call.params)
            return Outcome(_answer(call, result={"accepted": True}), accepted=True)
        return Outcome(_answer(call, result=await method(host, call.params)))
    except ParamsError as error:
        return Outcome(_answer(call, error={"code": INVALID_PARAMS, "message": str(error)}))
    except (FailedError, UnknownRequestError) as error:
        return Outcome(_answer(call, error={"code": FAILED, "message": str(error)}))
    except UnknownOptionError as error:
        return Outcome(_answer(call, error={"code": INVALID_PARAMS, "message": str(error)}))


def attached(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The manifest entries of the files that come with a user_message; ParamsError names what is wrong."""
    artifacts = params.get("artifacts")
    if artifacts is None:
        return []
    if not isinstance(artifacts, list) or not all(_is_entry(artifact) for artifact in artifacts):
        raise ParamsError("artifacts must be a list of manifest entries, each with an id, a name and a storage_path.")
    return artifacts


def _is_entry(artifact: object) -> bool:
    return isinstance(artifact, dict) and all(isinstance(artifact.get(name), str) for name in ("id", "name", "storage_path"))


def prompt_blocks(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The ACP content blocks of a user_message, none where it only brings files; ParamsError names what is wrong."""
    content = params.get("content")
    if content is None and params.get("artifacts"):
        return []
    if isinstance(content, str) and content.startswith(BLOCKS_PREFIX):
        content = _packed_blocks(content.removeprefix(BLOCKS_PREFIX))
    if isinstance(content, str) and content.strip():
        return [{"type": "text", "text": content}]
    if isinstance(content, list) and content and all(isinstance(block, dict) and isinstance(block.get("type"), str) for block in content):
        return content
    raise ParamsError("content must be a text that is not blank, or a list of content blocks.")


def _packed_blocks(text: str) -> Any:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParamsError("content must hold a JSON object with blocks after its prefix.") from error
    return document.get("blocks") if isinstance(document, dict) else None


def _answer(call: Call, **outcome: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call.id, **outcome}


def _text(params: Mapping[str, Any], name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ParamsError(f"{name} must be a string that is not blank.")
    return value


def _message_id(params: Mapping[str, Any]) -> str | None:
    return None if params.get("message_id") is None else _text(params, "message_id")


def _accept(host: Host, params: Mapping[str, Any]) -> Prompt | None:
    """Take a message in unless it was before; the message where it is new."""
    message_id = _message_id(params)
    if message_id is not None and host.knows(message_id):
        return None
    prompt = Prompt(id=message_id, blocks=prompt_blocks(params), artifacts=attached(params))
    try:
        host.send(prompt)
    except OSError as error:
        raise FailedError(f"The message could not be kept: {error.strerror or error}.") from error
    return prompt


async def _user_message(host: Host, params: Mapping[str, Any]) -> dict[str, Any]:
    prompt = _accept(host, params)
    outcome = await host.outcome(prompt if prompt is not None else _text(params, "message_id"))
    if "error" in outcome:
        raise FailedError(str(outcome["error"]))
    return outcome


async def _cancel(host: Host, params: Mapping[str, Any]) -> dict[str, Any]:
    try:
        await host.cancel()
    except (ConnectionError, RuntimeError) as error:
        raise FailedError("The agent has ended.") from error
    return {"cancelled": True}


async def _close(host: Host, params: Mapping[str, Any]) -> dict[str, Any]:
    if not host.begun:
        raise NoSessionError("No active session for this run")
    seconds = params.get("timeout_seconds", _FLUSH_SECONDS)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _LONGEST_CLOSE_SECONDS:
        raise ParamsError(f"timeout_seconds must be a number from 0 to {_LONGEST_CLOSE_SECONDS:g}.")
    return {"closed": True, "flushed": await host.close(float(seconds))}


async def _permission_response(host: Host, params: Mapping[str, Any]) -> dict[str, Any]:
    request_id = _text(params, "requestId")
    # `cancelled` and `again` are the control plane's: no option says no, and this may have been sent before.
    option_id = None if params.get("cancelled") is True else _text(params, "optionId")
    custom, answers = params.get("customInput"), params.get("answers")
    if not isinstance(custom, str | None):
        raise ParamsError("customInput must be a string.")
    if answers is not None and not (isinstance(answers, dict) and all(isinstance(value, str) for value in answers.values())):
        raise ParamsError("answers must be an object of strings.")
    meta = ({} if custom is None else {"customInput": custom}) | ({} if answers is None else {"answers": answers})
    host.answer_permission(request_id, option_id, meta, again=params.get("again") is True)
    return {"resolved": True}


async def _set_config_option(host: Host, params: Mapping[str, Any]) -> dict[str, Any]:
    config_id, value = _text(params, "configId"), _text(params, "value")
    try:
        return {"configOptions": await host.set_config_option(config_id, value)}
    except request_error_class() as error:
        raise FailedError(sentence_of(error)) from error
    except ConnectionError as error:
        raise FailedError("The agent has ended.") from error


_METHODS: dict[str, Callable[[Host, Mapping[str, Any]], Awaitable[dict[str, Any]]]] = {
    "user_message": _user_message,
    "cancel": _cancel,
    "close": _close,
    "permission_response": _permission_response,
    "set_config_option": _set_config_option,
}
