"""What every request passes before it is routed, and every answer after: request ids, slashes, HEAD, names of projects."""

import re
import time
from typing import Any
from uuid import uuid4

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hedgerow.api.calls import SENT_PATH
from hedgerow.api.errors import unexpected_response

_SOUND_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
ABORT = "hedgerow.abort"

_ENVIRONMENTS, _PROJECTS = "/api/environments/", "/api/projects/"
"""Clients call a project an environment in some of their addresses (contract 11.2)."""

_log = structlog.get_logger()


class Front:
    """An ASGI application around the routed one.

    Each answer carries `X-Request-Id`, and so does each line that is logged meanwhile. A path may lack its last slash. HEAD is
    answered as GET would be, without the body. What goes wrong outside the routes still gets an answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        answer = _Answer(send, request_id.encode(), head=scope["method"] == "HEAD")
        inner = {**scope, SENT_PATH: scope["path"], ABORT: _abort_of(send), **_normal(scope)}
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(inner, answer.receiving(receive), answer.send)
            except Exception:
                if answer.status is not None:
                    raise  # half an answer is out: only a cut connection tells the client
                _log.exception("a request failed outside its route", method=scope["method"], path=scope["path"])
                await unexpected_response()(inner, receive, answer.send)
            finally:
                took = round(time.perf_counter() - started, 4)
                _log.debug("request", method=scope["method"], path=scope["path"], status=answer.status, duration_seconds=took)


def _request_id(scope: Scope) -> str:
    """The client's own id where it is sound, so that it finds its request in our log; else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SOUND_ID.fullmatch(value):
            return bytes(value).decode("ascii")
    return uuid4().hex


def _normal(scope: Scope) -> dict[str, Any]:
    path = scope["path"] if scope["path"].endswith("/") else scope["path"] + "/"
    if path.startswith(_ENVIRONMENTS):
        path = _PROJECTS + path.removeprefix(_ENVIRONMENTS)
    return {"path": path, "method": "GET" if scope["method"] == "HEAD" else scope["method"]}


def _abort_of(send: Send) -> Any:
    """How to cut the connection at once, where the server lets us: uvicorn's `send` is a method of the object that holds it."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    return getattr(transport, "abort", None)


class _Answer:
    """The way of one answer to the client."""

    def __init__(self, send: Send, request_id: bytes, *, head: bool) -> None:
        self._send = send
        self._request_id = request_id
        self._head = head
        self.status: int | None = None  # None: the answer has not begun

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), (b"x-request-id", self._request_id)]}
            await self._send(message)
            if self._head:
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        elif not self._head:
            await self._send(message)

    def receiving(self, receive: Receive) -> Receive:
        """To an endpoint that streams, a client that asked for the head alone has left once it has it."""
        if not self._head:
            return receive

        async def receive_until_head() -> Message:
            return await receive() if self.status is None else {"type": "http.disconnect"}

        return receive_until_head
