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
    ranges = dict(_range(part.lower()) for part in accept.split(",") if part.strip())
    # The most precise of the ranges that say something about event streams decides.
    said = [ranges[media_type] for media_type in ("text/event-stream", "text/*", "*/*") if media_type in ranges]
    if ranges and not (said and said[0]):
        raise NotAcceptableError("This endpoint answers text/event-stream, which the Accept header excludes.")


def _range(media_range: str) -> tuple[str, bool]:
    """A media range, and whether it is wanted at all."""
    media_type, *parameters = ["".join(piece.split()) for piece in media_range.split(";")]
    return media_type, not {"q=0", "q=0.", "q=0.0", "q=0.00", "q=0.000"} & set(parameters)


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
