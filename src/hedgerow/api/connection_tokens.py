"""Direct access to the agent server of a run (contract 5.7)."""

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from hedgerow.api.calls import CurrentCall
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.operations import connection_tokens
from hedgerow.operations.backends import Backends


class ConnectionToken(BaseModel):
    """A token for direct access to a run's agent server."""

    token: str


class PublicKey(BaseModel):
    """The key that verifies connection tokens, in PEM."""

    public_key: str


async def connection_token(call: CurrentCall) -> Response:
    """A token for direct access to the run's agent server, valid for 24 hours."""
    token = await connection_tokens.connection_token(call.backends, call.caller, call.project, call.task_id, call.run_id)
    return JsonResponse({"token": token})


async def public_key(_request: Request, backends: Backends) -> Response:
    """The key with which agent servers verify connection tokens."""
    return JsonResponse({"public_key": await connection_tokens.public_key(backends)})
