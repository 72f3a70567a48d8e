"""`GET /events`: everything that happened and happens, as server-sent events, to any number of readers."""

import asyncio
import json
from collections.abc import AsyncGenerator
from uuid import UUID

from hedgerow.agent_server.journal import Journal

KEEPALIVE_SECONDS = 25.0
_PAGE_ENTRIES = 200


async def events(
    journal: Journal, run_id: UUID, after: int, *, keepalive_seconds: float = KEEPALIVE_SECONDS
) -> AsyncGenerator[bytes, None]:
    """`connected`, then the entries after number `after` (each with its number as event id), then what comes.

    Message chunks are shown as they pass, without an id: who reconnects gets the whole message instead.
    """
    yield _frame(json.dumps({"type": "connected", "run_id": str(run_id)}, separators=(",", ":")).encode())
    news = asyncio.Event()
    journal.watch(news)
    try:
        offset, number, previewed = journal.spool.offset_after(after), min(after, journal.spool.count), journal.preview_head
        while True:
            news.clear()
            entries, offset = journal.spool.read(offset, entries=_PAGE_ENTRIES)
            for entry in entries:
                number += 1
                yield _frame(entry, number)
            if entries:
                continue
            previews = journal.previews_after(previewed)
            for number_of_preview, preview in previews:
                previewed = number_of_preview
                yield _frame(preview)
            if not previews and not await _wait(news, keepalive_seconds):
                yield b": keepalive\n\n"
    finally:
        journal.unwatch(news)


def cursor(last_event_id: str | None, start: str | None, journal: Journal) -> int:
    """The number to go on after: what `Last-Event-ID` says, the end for `start=latest`, else the beginning.

    Raises ValueError for an id that this run never gave out.
    """
    if last_event_id is None:
        return journal.spool.count if start == "latest" else 0
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 19) or int(last_event_id) > journal.spool.count:
        raise ValueError("Last-Event-ID must be the id of an event of this run.")
    return int(last_event_id)


async def _wait(news: asyncio.Event, timeout_seconds: float) -> bool:
    try:
        async with asyncio.timeout(timeout_seconds):
            await news.wait()
    except TimeoutError:
        return False
    return True


def _frame(data: bytes, number: int | None = None) -> bytes:
    return (b"" if number is None else b"id: %d\n" % number) + b"data: " + data + b"\n\n"
