"""Reading the body of a request: bounded, JSON or a form, and `{}` where there is none (contract 1.1)."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from hedgerow.api.json_bytes import parse_json
from hedgerow.api.protocol_errors import BodyTooLargeError, BodyTooSlowError, MalformedError, UnsupportedMediaTypeError
from hedgerow.api.schemas.fields import FormText
from hedgerow.domain.errors import HedgerowError, InvalidError

ORDINARY_BODY_BYTES = 20 * 1024 * 1024
LOG_BODY_BYTES = 64 * 1024 * 1024
ARTIFACT_BODY_BYTES = 42 * 1024 * 1024
LARGE_BODY_BYTES = 1024 * 1024
MOST_FORM_FIELDS = 1000

READ_MEDIA_TYPES = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
"""What `parse_body` reads."""


PACE_BYTES = 64 * 1024
"""How much of a body must come, unless it ends, each time that a sender's patience is measured."""


async def body_pieces(request: Request, stall_seconds: float) -> AsyncIterator[bytes]:
    """The pieces of a body as they come. Only the time counts in which one is waited for.

    BodyTooSlowError where less than `PACE_BYTES` come within `stall_seconds`, MalformedError where the client leaves half-way.
    """
    pieces, clock = aiter(request.stream()), asyncio.get_running_loop().time
    waited, come = 0.0, 0
    try:
        while True:
            began = clock()
            async with asyncio.timeout(stall_seconds - waited):
                piece = await anext(pieces, None)
            if piece is None:
                return
            waited, come = waited + clock() - began, come + len(piece)
            if come >= PACE_BYTES:
                waited, come = 0.0, 0
            yield piece
    except TimeoutError as error:
        raise BodyTooSlowError(f"Less than {PACE_BYTES} bytes of the body came within {stall_seconds:g} seconds.") from error
    except ClientDisconnect as error:
        raise MalformedError("The connection was closed before the whole body had come.") from error


class RequestBody:
    """The bytes of a request's body, read from the connection once, when they are first asked for."""

    def __init__(self, request: Request, stall_seconds: float) -> None:
        self._request = request
        self._pieces = body_pieces(request, stall_seconds)
        self._read: list[bytes] = []
        self._size = 0
        self._problem: HedgerowError | None = None

    async def read(self, limit_bytes: int, seconds: float | None = None) -> bytes:
        """The whole body. A larger limit may be asked for after a smaller one.

        BodyTooLargeError past `limit_bytes`, as soon as that is known; BodyTooSlowError where it has not come within `seconds`.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._whole(limit_bytes)
        except TimeoutError as error:
            self._problem = BodyTooSlowError(f"The body did not come within {seconds:g} seconds.")
            raise self._problem from error

    @property
    def may_be_large(self) -> bool:
        """Whether the body is above a megabyte, or does not say how long it is."""
        declared = self._request.headers.get("content-length", "")
        return not declared.isdecimal() or int(declared[:19]) > LARGE_BODY_BYTES

    async def _whole(self, limit_bytes: int) -> bytes:
        declared = self._request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:19]) > limit_bytes:
            raise _too_large(limit_bytes)
        while self._size <= limit_bytes:
            piece = await self._next()
            if piece is None:
                return b"".join(self._read)
            self._read.append(piece)
            self._size += len(piece)
        raise _too_large(limit_bytes)

    async def _next(self) -> bytes | None:
        """The next piece. A body that broke off stays broken, whoever asks again: its beginning alone says something else."""
        if self._problem is not None:
            raise self._problem
        try:
            return await anext(self._pieces, None)
        except HedgerowError as problem:
            self._problem = problem
            raise


def _too_large(limit_bytes: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The body may have at most {limit_bytes} bytes.")


async def parse_body(raw: bytes, content_type: str) -> dict[str, Any]:
    """The fields of a body, `{}` for an empty one.

    UnsupportedMediaTypeError: neither JSON nor a form. MalformedError: cannot be parsed. InvalidError: JSON, but not an object.
    """
    if not raw:
        return {}
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/json":
        return _object(parse_json(raw))
    if media_type == "application/x-www-form-urlencoded":
        return _form(raw)
    if media_type == "multipart/form-data":
        return await _multipart(raw, content_type)
    raise UnsupportedMediaTypeError(f'This API reads application/json, not "{media_type[:100]}".')


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidError("The body must be a JSON object.", detail_code="not_a_dict")
    return value


def _form(raw: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(raw.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FORM_FIELDS, errors="strict")
    except ValueError as error:
        raise MalformedError("The form cannot be read: it is not UTF-8, or has too many fields.") from error
    return _fields(pairs)


def _fields(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """A name that is given several times stands for a list."""
    fields: dict[str, Any] = {}
    for name, text in pairs:
        value = FormText(text)
        if name in fields:
            earlier = fields[name]
            fields[name] = [*earlier, value] if isinstance(earlier, list) else [earlier, value]
        else:
            fields[name] = value
    return fields


async def _multipart(raw: bytes, content_type: str) -> dict[str, Any]:
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", content_type.encode("latin-1"))]}
    request = Request(scope, _replay(raw))
    try:
        async with request.form(max_files=0, max_fields=MOST_FORM_FIELDS, max_part_size=ORDINARY_BODY_BYTES) as form:
            return _fields((name, value) for name, value in form.multi_items() if not isinstance(value, UploadFile))
    except (MultiPartException, UnicodeDecodeError, KeyError) as error:
        raise MalformedError("The form cannot be read.") from error


def _replay(raw: bytes) -> Any:
    async def receive() -> Message:
        return {"type": "http.request", "body": raw, "more_body": False}

    return receive
