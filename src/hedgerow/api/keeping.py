"""Answers that are kept under an Idempotency-Key, and given again to the same one (contract 13.1)."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypedDict

from starlette.requests import Request
from starlette.responses import Response

from hedgerow.api.calls import Call
from hedgerow.domain.errors import InvalidError
from hedgerow.operations import idempotency
from hedgerow.operations.backends import Backends

LONGEST_KEY = 255


def sound_key(request: Request) -> str | None:
    """The request's Idempotency-Key, None without one. InvalidError where it cannot be kept."""
    key = request.headers.get("idempotency-key", "").strip()
    if len(key) > LONGEST_KEY or not key.isprintable():
        raise InvalidError(f"An Idempotency-Key has at most {LONGEST_KEY} printable characters.")
    return key or None


def replay_header(replayed: bool) -> dict[str, str]:
    """The header of an answer that was given before."""
    return {"Idempotent-Replay": "true"} if replayed else {}


async def once(call: Call, work: Callable[[Call], Awaitable[Response]], *, held: bool = False) -> Response:
    """What `work` answers, or has answered to this key before; without a key simply what it answers.

    `work` must use the call that it is given. `held`: it waits for others than the database, so that no transaction may stay open
    around it. Raises ConflictError for a key that came with another body, and whatever `work` raises.
    """
    if call.key is None:
        return await work(call)

    async def bare(backends: Backends) -> tuple[int, bytes]:
        response = await work(replace(call, backends=backends))
        return response.status_code, bytes(response.body)

    carry_out = idempotency.once_held if held else idempotency.once
    status, body, replayed = await carry_out(call.backends, call.caller, **_request(call), key=call.key, work=bare)
    return _answer(status, body, replayed=replayed)


async def answered(call: Call) -> Response | None:
    """What was answered to this key before, if anything. Raises ConflictError for a key that came with another body."""
    kept = None if call.key is None else await idempotency.find(call.backends, call.caller, **_request(call), key=call.key)
    return None if kept is None else _answer(*kept, replayed=True)


class _Request(TypedDict):
    method: str
    path: str
    body_hash: bytes


def _request(call: Call) -> _Request:
    return {"method": call.request.method, "path": call.request.url.path, "body_hash": hashlib.sha256(call.raw).digest()}


def _answer(status: int, body: bytes, *, replayed: bool) -> Response:
    return Response(body, status, media_type="application/json", headers=replay_header(replayed))
