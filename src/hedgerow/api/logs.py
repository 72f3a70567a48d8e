"""The journal over HTTP: append_log, logs, session_logs and the signed log_url (contract 5.3, 7, 13.1, 13.4).

Plain endpoints: bytes in, bytes out, without FastAPI's and pydantic's share of the time.
"""

import time
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from hedgerow.api.calls import Call, uuid_in_path
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.keeping import replay_header, sound_key
from hedgerow.api.outflow import pieces_response
from hedgerow.api.protocol_errors import UnsupportedMediaTypeError
from hedgerow.api.runs import show_run
from hedgerow.api.schemas.logs import SessionLogQuery
from hedgerow.operations import log_urls, logs
from hedgerow.operations.backends import Backends

JSON_LINES = "application/jsonl"


async def append_log(call: Call) -> Response:
    """Append entries to the run's journal, as they are sent. Message chunks are shown live, and not kept."""
    started = time.perf_counter()
    _refuse_forms(call.request)
    appended = await logs.append_log(
        call.backends,
        call.caller,
        call.project,
        call.task_id,
        call.run_id,
        call.raw or b"{}",
        idempotency_key=sound_key(call.request),
    )
    headers = {"Server-Timing": _timing("s3_append", started), **replay_header(appended.replayed)}
    return JsonResponse(show_run(call, appended.run), headers=headers)


async def read_logs(call: Call) -> Response:
    """The entries of the run and of the runs it resumes from, oldest first, one JSON document a line."""
    started = time.perf_counter()
    pieces = await logs.read_logs(call.backends, call.caller, call.project, call.task_id, call.run_id)
    return await _lines(call.backends, pieces, started)


async def session_logs(call: Call) -> Response:
    """The entries of this run, narrowed and paged."""
    started = time.perf_counter()
    query = SessionLogQuery.model_validate(dict(call.request.query_params))
    found = await logs.session_logs(call.backends, call.caller, call.project, call.task_id, call.run_id, query.filters())
    filtering = _timing("filter", started)
    headers = {
        "X-Total-Count": str(found.total),
        "X-Filtered-Count": str(found.matching),
        "X-Matching-Count": str(found.matching),
        "X-Has-More": "true" if found.has_more else "false",
        "Cache-Control": "no-cache",
    }
    started, stall_seconds = time.perf_counter(), call.backends.rules.reader_stall_seconds
    response = await pieces_response(found.body, media_type="application/json", stall_seconds=stall_seconds, headers=headers)
    reading = _timing("s3_read", started)
    response.headers["Server-Timing"] = f"{reading}, {filtering}" if found.total else reading
    return response


async def read_signed_log(request: Request, backends: Backends) -> Response:
    """The log that a run's log_url names. The signature in the query stands for the key."""
    started = time.perf_counter()
    query = request.query_params
    pieces = await log_urls.read(
        backends,
        uuid_in_path(request.path_params["run_id"]),
        expires=query.get("expires", ""),
        signature=query.get("signature", ""),
    )
    return await _lines(backends, pieces, started)


async def _lines(backends: Backends, pieces: AsyncIterator[bytes], started: float) -> Response:
    headers, stall_seconds = {"Cache-Control": "no-cache"}, backends.rules.reader_stall_seconds
    response = await pieces_response(pieces, media_type=JSON_LINES, stall_seconds=stall_seconds, headers=headers)
    response.headers["Server-Timing"] = _timing("s3_read", started)
    return response


def _timing(metric: str, started: float) -> str:
    """A Server-Timing metric. Clients know the names of the original's, which kept logs in S3."""
    return f"{metric};dur={(time.perf_counter() - started) * 1000:.1f}"


def _refuse_forms(request: Request) -> None:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaTypeError(f'Log entries are sent as application/json, not as "{media_type[:100]}".')
