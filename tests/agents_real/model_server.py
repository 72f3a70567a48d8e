"""A model on loopback that speaks Anthropic Messages and OpenAI Responses, and says what the prompt tells it to (model_script.py).

Runs in a thread of the tests, or alone: `python -m tests.agents_real.model_server [PORT]`.
"""

import asyncio
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from tests.agents_real import messages_protocol, responses_protocol
from tests.agents_real.model_script import Failure, Reply

PRODUCT = "posthog_code"  # what the public agent server puts between the address of its model and `/v1`
MODELS = ("claude-opus-4-7", "claude-sonnet-4-6", "gpt-5.5", "gpt-5.4")


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came in."""

    method: str
    path: str
    key: str
    body: dict[str, Any] = field(default_factory=dict)


class ModelServer:
    """The scripted model. `accepted_keys`: any other key is answered with 401; None: every key will do."""

    def __init__(self, *, port: int = 0, accepted_keys: frozenset[str] | None = None, certificate: tuple[str, str] | None = None) -> None:
        self.accepted_keys = accepted_keys
        self.requests: list[Seen] = []
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        tls = {"ssl_certfile": certificate[0], "ssl_keyfile": certificate[1]} if certificate else {}
        config = uvicorn.Config(self._application(), log_level="error", lifespan="off", **tls)  # type: ignore[arg-type]
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="model server", daemon=True)

    @property
    def url(self) -> str:
        """The base URL for ANTHROPIC_BASE_URL; OPENAI_BASE_URL has `/v1` after it."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "ModelServer":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(timeout=10)
        self._socket.close()

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    def _application(self) -> Starlette:
        routes = [
            Route("/v1/messages/count_tokens", self._count_tokens, methods=["POST"]),
            Route("/v1/messages", self._messages, methods=["POST"]),
            Route("/v1/responses", self._responses, methods=["POST"]),
            Route("/v1/models", self._models),
        ]
        rest = Route("/{path:path}", self._unknown, methods=["GET", "POST", "HEAD", "PUT", "DELETE"])
        return Starlette(routes=[*routes, Mount(f"/{PRODUCT}", routes=routes), rest])

    async def _see(self, request: Request) -> Seen:
        key = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        is_json = "json" in request.headers.get("content-type", "")
        seen = Seen(request.method, request.url.path, key, await request.json() if is_json else {})
        self.requests.append(seen)
        return seen

    def _refusal(self, seen: Seen) -> Failure | None:
        refused = self.accepted_keys is not None and seen.key not in self.accepted_keys
        return Failure(401, "invalid x-api-key") if refused else None

    async def _messages(self, request: Request) -> Response:
        seen = await self._see(request)
        reply = messages_protocol.due_reply(seen.body)
        failure = self._refusal(seen) or reply.failure
        if failure is not None:
            return JSONResponse(messages_protocol.error(failure), status_code=failure.status)
        model = str(seen.body.get("model"))
        if not seen.body.get("stream"):
            return JSONResponse(messages_protocol.whole(reply, model))
        return await _stream(reply, lambda: messages_protocol.events(reply, model))

    async def _responses(self, request: Request) -> Response:
        seen = await self._see(request)
        reply = responses_protocol.due_reply(seen.body)
        failure = self._refusal(seen) or reply.failure
        if failure is not None:
            return JSONResponse(responses_protocol.error(failure), status_code=failure.status)
        return await _stream(reply, lambda: responses_protocol.events(reply, seen.body))

    async def _count_tokens(self, request: Request) -> Response:
        await self._see(request)
        return JSONResponse({"input_tokens": 100})

    async def _models(self, request: Request) -> Response:
        await self._see(request)
        kept = {"created": 1, "created_at": "2026-01-01T00:00:00Z", "object": "model", "type": "model", "owned_by": "tests"}
        return JSONResponse({"object": "list", "data": [{"id": name, "display_name": name, **kept} for name in MODELS], "has_more": False})

    async def _unknown(self, request: Request) -> Response:
        await self._see(request)
        return JSONResponse({"error": {"message": "The scripted model does not know this path."}}, status_code=404)


async def _stream(reply: Reply, events: Callable[[], Iterator[bytes]]) -> Response:
    await asyncio.sleep(reply.pause_seconds)
    return StreamingResponse(events(), media_type="text/event-stream")


if __name__ == "__main__":
    with ModelServer(port=int(sys.argv[1]) if len(sys.argv) > 1 else 0) as server:
        sys.stdout.write(server.url + "\n")
        sys.stdout.flush()
        threading.Event().wait()
