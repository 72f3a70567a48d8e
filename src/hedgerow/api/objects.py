"""The local store over HTTP: its upload forms and signed addresses, answered as S3 answers them (contract 13.4)."""

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from hedgerow.api.artifacts import ANY_BYTES, file_headers
from hedgerow.api.outflow import pieces_response
from hedgerow.api.posted_forms import PostedForm
from hedgerow.api.protocol_errors import BodyTooLargeError
from hedgerow.operations import objects
from hedgerow.operations.backends import Backends

_AROUND_BYTES = 256 * 1024  # what the fields and borders of a form may have beside its file


async def receive_object(request: Request, backends: Backends) -> Response:
    """Take the file of a form that was signed here. The signature stands for a key; fields after the file are ignored."""
    form = PostedForm(request)
    permitted = objects.permit(backends, await form.fields())
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:19]) > permitted.largest_bytes + _AROUND_BYTES:
        raise _too_large(permitted.largest_bytes)
    await objects.store_object(backends, permitted, _bounded(form.file(), permitted.largest_bytes))
    return Response(status_code=204)


async def send_object(request: Request, backends: Backends) -> Response:
    """The object of a signed address."""
    found = await objects.read_object(backends, request.query_params)
    headers = file_headers(found.info.key.rpartition("/")[2], found.info.size_bytes)
    return await pieces_response(found.pieces, media_type=found.info.content_type or ANY_BYTES, headers=headers)


async def _bounded(pieces: AsyncIterator[bytes], largest_bytes: int) -> AsyncIterator[bytes]:
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > largest_bytes:
            raise _too_large(largest_bytes)
        yield piece


def _too_large(largest_bytes: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"This form takes a file of at most {largest_bytes} bytes.")
