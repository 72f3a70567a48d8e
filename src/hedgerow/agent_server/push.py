"""Pushes the spool to the control plane: in order, one request at a time, for as long as the agent server lives."""

import asyncio
import contextlib
import json
import sys
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from hedgerow.agent_server.entries import EntryWriter
from hedgerow.agent_server.gate_client import Answer, GateClient, GateUnreachableError
from hedgerow.agent_server.journal import Journal
from hedgerow.agent_server.spool import BATCH_ENTRIES, Batch
from hedgerow.domain.ids import uuid7

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 5.0
_REVOKED = {401, 403, 404}
_LATER = {408, 425, 429}
_RELAY_ATTEMPTS = 8


class RefusedForNowError(GateUnreachableError):
    """The control plane is there, but does not take it now."""


@dataclass(slots=True)
class Report:
    """Something about the run that is no entry, sent once the entries up to `after` are acknowledged: a change of its row, or a message."""

    after: int
    body: dict[str, Any]
    method: str = "PATCH"
    path: str = ""
    key: str | None = None
    attempts_left: int | None = None  # None: it is sent until it is taken


class Pusher:
    """Sends entries, previews and reports. `revoked` is called once where the control plane no longer takes this run's token."""

    def __init__(
        self, journal: Journal, gate: GateClient, writer: EntryWriter, run_path: str, *, revoked: Callable[[], Awaitable[None]]
    ) -> None:
        self._journal = journal
        self._gate = gate
        self._writer = writer
        self._run_path = run_path
        self._revoked = revoked
        self._token: str | None = None
        self._reports: deque[Report] = deque()
        self._previewed = 0
        self._batch_entries = BATCH_ENTRIES
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()

    def start(self, token: str) -> None:
        """Begin to push with the run's token, which is kept in memory only."""
        self._token = token
        self._task = asyncio.create_task(self._run(), name="push")

    def report(self, body: dict[str, Any], *, after_entries: bool) -> None:
        """Send a PATCH of the run: before anything else, or after the entries written so far."""
        self._reports.append(Report(self._journal.spool.end if after_entries else 0, body))
        self._news.set()

    def relay(self, text: str) -> None:
        """Have a text posted into the run's thread, before any entry that is written from now on.

        It counts less than the journal, so that a control plane that cannot take it does not hold up the entries for ever.
        """
        body = {"text": text}
        self._reports.append(Report(0, body, method="POST", path="relay_message/", key=str(uuid7()), attempts_left=_RELAY_ATTEMPTS))
        self._news.set()

    @property
    def stopped(self) -> bool:
        """Whether nothing is pushed (any more)."""
        return self._task is None or self._task.done()

    async def flush(self, timeout_seconds: float) -> bool:
        """Wait until everything is acknowledged, at most so long; whether it is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while not self.stopped and self._waiting():
                    self._idle.clear()
                    await self._idle.wait()
        return not self._waiting()

    async def stop(self) -> None:
        """Stop pushing; what is left stays in the spool."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._gate.close()

    def _waiting(self) -> bool:
        return bool(self._reports) or self._journal.spool.acknowledged < self._journal.spool.end

    async def _run(self) -> None:
        self._journal.watch(self._news)
        while True:
            self._news.clear()
            try:
                went_on = await self._push_next()
            except (GateUnreachableError, OSError) as error:
                await self._back_off(str(error))
                continue
            except Exception:  # noqa: BLE001 - a bug here must be seen, and must not leave the journal unsent
                await self._back_off(traceback.format_exc())
                continue
            if went_on is None:
                return
            if not went_on:
                self._idle.set()
                await self._news.wait()

    async def _push_next(self) -> bool | None:
        """Send the next thing. False: there is nothing; None: the token was revoked."""
        spool = self._journal.spool
        if self._reports and spool.acknowledged >= self._reports[0].after:
            return await self._send_report(self._reports[0])
        batch = spool.next_batch(self._batch_entries)
        if batch is not None:
            return await self._send_batch(batch)
        previews = self._journal.previews_after(self._previewed)
        if previews:
            self._previewed = previews[-1][0]
            return self._sorted(await self._append([entry for _, entry in previews]))
        return False

    async def _send_report(self, report: Report) -> bool | None:
        try:
            answer = await self._send(report.method, report.path, json.dumps(report.body, separators=(",", ":")).encode(), report.key)
        except RefusedForNowError:
            self._count(report)
            raise
        went_on = self._sorted(answer)
        if went_on:
            self._reports.popleft()
            if answer.status >= 300:
                _say(f"The control plane refused a report of the run with status {answer.status}.")
        return went_on

    def _count(self, report: Report) -> None:
        if report.attempts_left is None:
            return
        report.attempts_left -= 1
        if report.attempts_left <= 0:
            self._reports.popleft()
            _say("The control plane could not take a message for the run's thread; it is left out.")

    async def _send_batch(self, batch: Batch) -> bool | None:
        answer = await self._append(batch.entries, batch.key)
        went_on = self._sorted(answer)
        if not went_on:
            return went_on
        if answer.status < 300:
            self._batch_entries = min(BATCH_ENTRIES, self._batch_entries * 2)
            self._journal.spool.acknowledge(batch)
            return True
        return await self._divide(batch, answer)

    async def _divide(self, batch: Batch, answer: Answer) -> bool | None:
        """One bad entry refuses its whole batch: cut smaller ones until it stands alone, and mark the place where it stood."""
        if len(batch.entries) > 1:
            self._batch_entries = len(batch.entries) // 2
            self._journal.spool.divide(batch)
            return True
        _say(f"The control plane refused an entry of {len(batch.entries[0])} bytes with status {answer.status}.")
        marker = self._marker(batch, answer)
        went_on = self._sorted(await self._append([marker], f"{batch.key}-marker"))
        if went_on:
            self._journal.spool.acknowledge(batch)
        return went_on

    def _marker(self, batch: Batch, answer: Answer) -> bytes:
        reason = answer.body[:300].decode(errors="replace")
        return self._writer.console(
            "error", f"An entry of {len(batch.entries[0])} bytes was refused (status {answer.status}) and is missing here: {reason}"
        )

    async def _append(self, entries: list[bytes], key: str | None = None) -> Answer:
        return await self._send("POST", "append_log/", b'{"entries":[' + b",".join(entries) + b"]}", key)

    async def _send(self, method: str, path: str, body: bytes, key: str | None = None) -> Answer:
        headers = {"Authorization": f"Bearer {self._token}"} | ({} if key is None else {"Idempotency-Key": key})
        answer = await self._gate.request(method, self._run_path + path, body, headers)
        if answer.status >= 500 or answer.status in _LATER:
            raise RefusedForNowError(f"The control plane answered with status {answer.status}.")
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        if answer.status in _REVOKED:
            await self._give_up(answer)
        return answer

    @staticmethod
    def _sorted(answer: Answer) -> bool | None:
        return None if answer.status in _REVOKED else True

    async def _give_up(self, answer: Answer) -> None:
        _say(
            f"The control plane no longer takes this run's token (status {answer.status}); the agent is stopped and nothing more is pushed."
        )
        await self._revoked()
        self._idle.set()

    async def _back_off(self, reason: str) -> None:
        if self._pause_seconds == _FIRST_PAUSE_SECONDS:
            _say(f"Nothing could be pushed; entries are kept on disk meanwhile. {reason}")
        await asyncio.sleep(self._pause_seconds)
        self._pause_seconds = min(_LONGEST_PAUSE_SECONDS, self._pause_seconds * 2)


def _say(sentence: str) -> None:
    """Tell whoever reads the log. A disk that is too full for it must not stop the pushing."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()
