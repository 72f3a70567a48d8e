"""ACP over byte streams: one JSON-RPC message per line, as `agent-client-protocol` connections want it.

Both ends of the protocol live here as plain messages. The library's package imports more than two hundred typed models
before anything can be said, which costs more than the whole start of an agent; its connection needs none of them, and what
passes between an agent and its journal must be the very line anyway, also where a newer agent says what no model knows yet.
"""

import asyncio
import contextlib
import importlib
import importlib.util
import json
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from acp.connection import Connection
    from acp.exceptions import RequestError

PROTOCOL_VERSION = 1
LINE_LIMIT_BYTES = 50 * 1024 * 1024

Direction = Literal["incoming", "outgoing"]
LineObserver = Callable[[Direction, bytes, dict[str, Any]], bool | None]


def connection_class() -> "type[Connection]":
    """The library's JSON-RPC connection, without its typed models. May run in a thread of its own."""
    loaded: type[Connection] = _import_without_models("acp.connection").Connection
    return loaded


def request_error_class() -> "type[RequestError]":
    """The library's error of a call: raise it to answer with it, catch it to see the other side's."""
    loaded: type[RequestError] = _import_without_models("acp.exceptions").RequestError
    return loaded


def _import_without_models(name: str) -> types.ModuleType:
    """Import one module of the library while an empty package stands in for the whole; a later `import acp` is the ordinary one."""
    if name in sys.modules or "acp" in sys.modules:
        return importlib.import_module(name)
    spec = importlib.util.find_spec("acp")
    if spec is None:
        raise ModuleNotFoundError("The package agent-client-protocol is not installed.", name="acp")
    bare = types.ModuleType("acp")
    bare.__spec__, bare.__path__ = spec, list(spec.submodule_search_locations or ())
    sys.modules["acp"] = bare
    try:
        return importlib.import_module(name)
    finally:
        if sys.modules.get("acp") is bare:
            del sys.modules["acp"]


def encode(message: dict[str, Any]) -> bytes:
    """One message as one line, without its end. Lone surrogates stay escaped, everything else is UTF-8."""
    try:
        return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(message, separators=(",", ":")).encode()


class LineTransport:
    """A message transport for the library's connection over a pair of byte streams.

    `observe` sees every message in the order of the wire, with its bytes; an incoming notification for which it returns True
    has been dealt with and goes no further. `garbage` is told of lines that are no message, which are passed over.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        observe: LineObserver | None = None,
        garbage: Callable[[bytes], None] | None = None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._observe = observe
        self._garbage = garbage

    async def send(self, message: dict[str, Any]) -> None:
        """Write one message; ConnectionError where the other side has gone."""
        line = encode(message)
        if self._observe is not None:
            self._observe("outgoing", line, message)
        self._writer.write(line + b"\n")
        await self._writer.drain()

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None once the other side has closed, broken off, or sent a line beyond the limit."""
        while True:
            try:
                line = await self._reader.readline()
            except (ValueError, ConnectionError):
                return None
            if not line:
                return None
            message = self._message(line.strip())
            if message is not None:
                return message

    def _message(self, line: bytes) -> dict[str, Any] | None:
        if not line:
            return None
        message = decode(line)
        if message is None:
            if self._garbage is not None:
                self._garbage(line)
            return None
        handled = self._observe("incoming", line, message) if self._observe is not None else False
        return None if handled and "id" not in message else message

    async def close(self) -> None:
        """Close the way out; the other side sees its end."""
        self._writer.close()
        with contextlib.suppress(ConnectionError, OSError):
            await self._writer.wait_closed()


def decode(line: bytes) -> dict[str, Any] | None:
    """The JSON-RPC message of a line; None where it is not one JSON object in UTF-8 with a sound method."""
    try:
        message = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or not isinstance(message.get("method", ""), str):
        return None
    sound = isinstance(message.get("id", 0), int | str | float | None) and isinstance(message.get("error", None), dict | None)
    return message if sound else None
