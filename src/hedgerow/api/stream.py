"""The live stream of a run (contract 8, 13.1). The events come from `operations.streams`; `sse` frames them."""

from collections.abc import AsyncIterator

import structlog
from starlette.responses import Response

from hedgerow.api.calls import Call
from hedgerow.api.outflow import Outflow, close
from hedgerow.api.protocol_errors import NotAcceptableError
from hedgerow.api.sse import GREETING, batch_bytes, frame_bytes
from hedgerow.domain.errors import HedgerowError
from hedgerow.operations import streams
from hedgerow.operations.streams import Frame, StreamError

_log = structlog.get_logger()


async def stream(call: Call) -> Response:
    """The run's events as they happen, after those that are stored already. `Last-Event-ID` goes on from there."""
    _check_accept(call.request.headers.get("accept", ""))
    batches = await streams.follow(
        call.backends,
        call.caller,
        call.project,
        call.task_id,
        call.run_id,
        last_event_id=call.request.headers.get("last-event-id"),
        from_latest=call.request.query_params.get("start") == "latest",
    )
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    stall_seconds = call.backends.rules.reader_stall_seconds
    return Outflow(_pieces(batches), media_type="text/event-stream", stall_seconds=stall_seconds, headers=headers)


def _check_accept(accept: str) -> None:
    """NotAcceptableError unless the header lets an event stream through (RFC 9110, section 12.5.1)."""
    ranges = [part.strip().lower() for part in accept.split(",") if part.strip()]
    if ranges and not any(_lets_events_through(part) for part in ranges):
        raise NotAcceptableError("This endpoint answers text/event-stream, which the Accept header excludes.")


def _lets_events_through(media_range: str) -> bool:
    media_type, *parameters = [piece.strip() for piece in media_range.split(";")]
    refused = any(parameter.replace(" ", "") in {"q=0", "q=0.0", "q=0.00", "q=0.000"} for parameter in parameters)
    return media_type in {"text/event-stream", "text/*", "*/*"} and not refused


async def _pieces(batches: AsyncIterator[list[Frame]]) -> AsyncIterator[bytes]:
    """The bytes of a stream. What goes wrong once it stands can only be told as an error event."""
    try:
        yield GREETING
        async for batch in batches:
            if batch:
                yield batch_bytes(batch)
    except HedgerowError as error:
        yield frame_bytes(StreamError(error.message))
    except Exception:  # noqa: BLE001 - the client hears that something failed, the operator what
        _log.exception("a stream failed")
        yield frame_bytes(StreamError("The stream failed. Connect again with the last event id."))
    finally:
        await close(batches)
