"""Whether this process answers."""

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from hedgerow.api.json_bytes import JsonResponse
from hedgerow.operations.backends import Backends


class Health(BaseModel):
    """The state of this process."""

    status: str


async def health(_request: Request, _backends: Backends) -> Response:
    """Answer that this process serves."""
    return JsonResponse({"status": "ok"})
