"""Turns: the agent gets its messages one at a time, in the order in which they were accepted."""

import asyncio
import contextlib
from typing import Any, Protocol

from hedgerow.acp_lines import request_error_class
from hedgerow.agent_server.acp_session import AcpSession, sentence_of
from hedgerow.agent_server.attachments import Attachments
from hedgerow.agent_server.entries import EntryWriter
from hedgerow.agent_server.inbox import Inbox, Prompt
from hedgerow.agent_server.lease import Lease
from hedgerow.agent_server.narration import Narration
from hedgerow.domain.end_reasons import plain_words
from hedgerow.domain.runs import EndReason

_CANCELLED: dict[str, Any] = {"stopReason": "cancelled"}
_END_TURN = "end_turn"
_INTERRUPTED = "The agent server was restarted during the turn of this message."


class TurnEvents(Protocol):
    """What turns tell their host."""

    def write(self, entry: bytes) -> None:
        """A journal entry."""
        ...

    def turn_said(self, text: str) -> None:
        """What the agent has said in a turn that has come to its end."""
        ...

    def first_turn_failed(self, sentence: str) -> None:
        """The run's first message has failed."""
        ...

    def agent_disconnected(self) -> None:
        """The agent closed its output although a turn was running."""
        ...


class Turns:
    """Plays the messages of an inbox on a session."""

    def __init__(
        self,
        session: AcpSession,
        inbox: Inbox,
        narration: Narration,
        writer: EntryWriter,
        events: TurnEvents,
        attachments: Attachments,
        lease: Lease,
    ) -> None:
        self._session = session
        self._attachments = attachments
        self._lease = lease
        self._fetching: asyncio.Task[list[dict[str, Any]]] | None = None
        self._inbox = inbox
        self._narration = narration
        self._writer = writer
        self._events = events
        self._arrived = asyncio.Event()
        self._at_rest = asyncio.Event()
        self._at_rest.set()
        self._current: Prompt | None = None
        self._followers: dict[str, list[asyncio.Future[dict[str, Any]]]] = {}
        self._first = not inbox.ever_delivered
        self._task = asyncio.create_task(self._run(), name="turns")

    @property
    def running(self) -> bool:
        """Whether a turn is running."""
        return self._current is not None

    def submit(self, prompt: Prompt) -> None:
        """Queue a message. It is on disk when this returns."""
        self._inbox.accept(prompt, self._writer.mask)
        self._arrived.set()

    def follow(self, message: Prompt | str) -> "asyncio.Future[dict[str, Any]]":
        """The outcome of a message that was accepted (or of the id of one), now or when its turn has ended."""
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        message_id = message.id if isinstance(message, Prompt) else message
        if message_id is None:
            assert isinstance(message, Prompt)
            message.answer = future
            return future
        known = self._inbox.outcome(message_id)
        if known is not None:
            future.set_result(known)
        else:
            self._followers.setdefault(message_id, []).append(future)
        return future

    async def rest(self, timeout_seconds: float) -> None:
        """Return once no turn runs, or the one that does can't go on, since the agent's output is at its end; or after that time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._at_rest.wait()

    async def end(self, sentence: str, reason: EndReason) -> bool:
        """No more turns: what runs and what waits fails with `sentence`, for `reason`. Whether there was such a message."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        left = [*([self._current] if self._current is not None else []), *self._inbox.waiting]
        self._inbox.waiting.clear()
        self._current = None
        for prompt in left:
            self._fail(prompt, sentence, reason)
        return bool(left)

    def report_interrupted(self) -> None:
        """Say which messages an earlier agent server took with it, so that nobody waits for them."""
        for message_id in self._inbox.interrupted:
            self._fail(Prompt(id=message_id, blocks=[]), _INTERRUPTED, EndReason.AGENT_LOST)
        self._inbox.interrupted.clear()

    async def _run(self) -> None:
        while True:
            self._arrived.clear()
            while self._inbox.waiting:
                await self._play(self._inbox.take())
            await self._arrived.wait()

    async def _play(self, prompt: Prompt) -> None:
        self._current = prompt
        self._at_rest.clear()
        try:
            await self._lease.hold()
            links = await self._fetch(prompt)
            result = _CANCELLED if links is None else await self._session.prompt(_with_files(prompt, links))
        except ConnectionError:
            self._at_rest.set()
            self._events.agent_disconnected()
            await asyncio.Event().wait()  # the host ends the turns once it knows how the agent ended
        except request_error_class() as error:
            self._fail(prompt, plain_words(self._writer.mask.text(sentence_of(error))), EndReason.AGENT_FAILED)
        else:
            self._complete(prompt, result)
        finally:
            self._lease.release()
        self._current, self._first = None, False
        self._at_rest.set()

    async def _fetch(self, prompt: Prompt) -> list[dict[str, Any]] | None:
        """Links to the files that come with a message; None where the turn was cancelled before they were there."""
        if not prompt.artifacts:
            return []
        self._fetching = asyncio.create_task(self._attachments.links(prompt.artifacts), name="fetch")
        try:
            await asyncio.wait({self._fetching})
            return None if self._fetching.cancelled() else self._fetching.result()
        finally:
            self._fetching.cancel()
            self._fetching = None

    def cancel_fetching(self) -> bool:
        """End a turn that is still waiting for its files, as cancelled; whether there was one."""
        return self._fetching is not None and self._fetching.cancel()

    def _complete(self, prompt: Prompt, result: dict[str, Any]) -> None:
        stop_reason = result.get("stopReason")
        params = {"sessionId": self._session.id, "stopReason": stop_reason, "messageId": prompt.id}
        params |= {"usage": result["usage"]} if isinstance(result.get("usage"), dict) else {}
        said = self._narration.said
        if said and stop_reason == _END_TURN:
            self._events.turn_said(said)
        self._events.write(self._writer.own("_posthog/turn_complete", params))
        self._finish(prompt, {"stopReason": stop_reason} | ({"assistant_message": said} if said else {}))

    def _fail(self, prompt: Prompt, sentence: str, reason: EndReason) -> None:
        params = {"sessionId": self._session.id, "message": sentence, "endReason": reason.value, "messageId": prompt.id}
        self._events.write(self._writer.own("_posthog/error", params))
        if self._first and prompt is self._current:
            self._events.first_turn_failed(sentence)
        self._finish(prompt, {"error": sentence})

    def _finish(self, prompt: Prompt, outcome: dict[str, Any]) -> None:
        self._inbox.finish(prompt.id, outcome)
        waiting = self._followers.pop(prompt.id, []) if prompt.id is not None else []
        for future in [*waiting, *([prompt.answer] if prompt.answer is not None else [])]:
            if not future.done():
                future.set_result(outcome)


def _with_files(prompt: Prompt, links: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the agent is sent. A message that was nothing but files, none of which is there, still says so."""
    if prompt.blocks or links:
        return [*prompt.blocks, *links]
    names = ", ".join(str(artifact.get("name")) for artifact in prompt.artifacts)
    return [{"type": "text", "text": f"Files were attached to this message, but they cannot be had any more: {names}"}]
