"""The agent server's four routes."""

import asyncio
import json
import sys
from typing import Any

from hedgerow.acp_lines import connection_class
from hedgerow.agent_server.agent_process import AgentStartError
from hedgerow.agent_server.commands import carry_out, read_call
from hedgerow.agent_server.events import cursor, events
from hedgerow.agent_server.host import Host, NoSessionError
from hedgerow.agent_server.http_server import Request, Response, json_response
from hedgerow.agent_server.launch import session_request
from hedgerow.agent_server.tokens import OtherRunError, TokenCheck, TokenError

_EVENT_STREAM = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}


class Application:
    """Answers requests for one host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        configuration = host.configuration
        self._check_token = TokenCheck(configuration.public_key, configuration.run_id)

    async def warm_up(self) -> None:
        """Import in a thread what the first request needs, while the sandbox waits for its workspace."""
        try:
            await asyncio.to_thread(self._check_token.warm_up)
            await asyncio.to_thread(connection_class)
        except (ValueError, TypeError) as error:
            sys.stderr.write(f"JWT_PUBLIC_KEY cannot be read: {error}\n")

    async def __call__(self, request: Request) -> Response:
        """The answer to one request."""
        match request.method, request.path:
            case "GET", "/health":
                return json_response(200, {"status": "ok", "hasSession": self._host.has_session})
            case "GET", "/events":
                return self._guarded(request) or self._events(request)
            case "POST", "/command":
                return self._guarded(request) or await self._command(request)
            case "POST", "/session":
                return self._guarded(request) or await self._session(request)
        return json_response(404, {"error": "Not found"})

    def _guarded(self, request: Request) -> Response | None:
        """The refusal of a caller without a good token; None where it has one."""
        try:
            self._check_token(request.headers.get("authorization"))
        except TokenError as error:
            return json_response(401, {"error": str(error), "code": error.code})
        except OtherRunError as error:
            return json_response(400, {"error": str(error)})
        except (ValueError, TypeError):
            return json_response(401, {"error": "JWT_PUBLIC_KEY cannot be read", "code": "server_error"})
        return None

    def _events(self, request: Request) -> Response:
        journal = self._host.journal
        try:
            after = cursor(request.headers.get("last-event-id"), next(iter(request.query.get("start", [])), None), journal)
        except ValueError as error:
            return json_response(400, {"error": str(error)})
        return Response(200, stream=events(journal, self._host.configuration.run_id, after), headers=_EVENT_STREAM)

    async def _command(self, request: Request) -> Response:
        respond_async = "respond-async" in request.headers.get("prefer", "").lower()
        try:
            outcome = await carry_out(self._host, read_call(request.body), respond_async=respond_async)
        except ValueError as error:
            return json_response(400, {"error": str(error)})
        except NoSessionError as error:
            return json_response(400, {"error": str(error), **_why(error)})
        return json_response(202 if outcome.accepted else 200, outcome.document)

    async def _session(self, request: Request) -> Response:
        try:
            wanted = session_request(_json(request.body))
        except ValueError as error:
            return json_response(400, {"error": str(error)})
        try:
            await self._host.start(wanted)
        except AgentStartError as error:
            return json_response(502, {"error": str(error)})
        except NoSessionError as error:
            return json_response(409, {"error": str(error), **_why(error)})
        return json_response(200, {"hasSession": True})


def _why(error: NoSessionError) -> dict[str, Any]:
    """What the control plane is told of an agent that has ended by itself: the very words that are reported of it."""
    failure = error.failure
    return {} if failure is None else {"ended": {"message": failure.sentence, "endReason": failure.reason.value}}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError("The body must be a JSON object.") from error
