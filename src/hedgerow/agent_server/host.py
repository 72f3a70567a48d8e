"""The host of a run's agent: starts it, hands it messages, tells its journal, and ends it."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hedgerow.acp_lines import request_error_class
from hedgerow.agent_server.acp_session import AcpSession, sentence_of
from hedgerow.agent_server.agent_process import AgentProcess, AgentStartError, start_agent
from hedgerow.agent_server.attachments import Attachments
from hedgerow.agent_server.configuration import Configuration
from hedgerow.agent_server.entries import EntryWriter
from hedgerow.agent_server.gate_client import GateClient
from hedgerow.agent_server.home_files import write_home_files
from hedgerow.agent_server.inbox import Inbox, Prompt
from hedgerow.agent_server.journal import Journal
from hedgerow.agent_server.launch import SessionRequest
from hedgerow.agent_server.lease import Lease
from hedgerow.agent_server.masking import every_value, secret_values
from hedgerow.agent_server.narration import Narration
from hedgerow.agent_server.network import Network
from hedgerow.agent_server.permissions import Permissions
from hedgerow.agent_server.push import Pusher
from hedgerow.agent_server.reaping import OrphanReaper
from hedgerow.agent_server.spool import Spool
from hedgerow.agent_server.turns import Turns
from hedgerow.domain.clock import Clock
from hedgerow.domain.end_reasons import plain_words
from hedgerow.domain.masking import Mask
from hedgerow.domain.relays import shortened
from hedgerow.domain.runs import EndReason, RunStatus

_START_SECONDS = 180.0
_CANCEL_SECONDS = 2.0
_HEARING_SECONDS = 2.0  # that something which the agent has left behind may hold its output open
_ENDING_SECONDS = 1.0  # from the end of an agent's output to its own
_CLOSED = "The session was closed before the turn of this message had ended."
_NO_SESSION = "No active session for this run"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an agent is there no more."""

    sentence: str
    reason: EndReason


class NoSessionError(Exception):
    """No agent is there (any more) to take the command. `failure`: why, where it has ended by itself."""

    def __init__(self, sentence: str, failure: Failure | None = None) -> None:
        super().__init__(sentence)
        self.failure = failure


class Host:
    """One run's agent, from its start to its end. Everything here happens on one event loop."""

    def __init__(self, configuration: Configuration, clock: Clock) -> None:
        self.configuration = configuration
        self.journal = Journal(Spool(configuration.spool))
        self._writer = EntryWriter(clock)
        self._inbox = Inbox(configuration.spool / "messages")
        self._gate = GateClient(configuration.gate_socket)
        self._pusher = Pusher(self.journal, self._gate, self._writer, configuration.run_path, revoked=self._revoked)
        self._attachments = Attachments(configuration, self._writer, self.write)
        self._narration = Narration(self.journal, self._writer, self.write)
        self._network = Network(configuration.egress_socket)
        self.reaper = OrphanReaper()
        self._starting: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._process: AgentProcess | None = None
        self._session: AcpSession | None = None
        self._turns: Turns | None = None
        self._permissions: Permissions | None = None
        self._tells_thread = False
        self._lease_seconds: float | None = None
        self._ending = False
        self._speechless = False  # the agent was ended since nothing can be heard from it any more
        self._failure: Failure | None = None
        self._errands: set[asyncio.Task[None]] = set()

    @property
    def begun(self) -> bool:
        """Whether a session was ever asked for."""
        return self._starting is not None

    @property
    def has_session(self) -> bool:
        """Whether the agent takes messages."""
        return self._turns is not None and not self._ending

    async def start(self, request: SessionRequest) -> None:
        """Start the agent once, whoever asks how often; AgentStartError says why it does not start, also the next time."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(request), name="start")
        await asyncio.wait({self._starting})
        if not self._starting.cancelled():
            self._starting.result()
        if self._ending:
            raise NoSessionError("The session has ended.", self._failure)

    def send(self, prompt: Prompt) -> None:
        """Queue a message; it is on disk when this returns. NoSessionError where no agent is there."""
        self._turns_or_error().submit(prompt)

    def knows(self, message_id: str) -> bool:
        """Whether a message was accepted before."""
        return self._inbox.knows(message_id)

    async def outcome(self, message: Prompt | str) -> dict[str, Any]:
        """How the turn of a message that was accepted (or of the id of one) ends: its stopReason, or its error."""
        return await self._turns_or_error().follow(message)

    async def cancel(self) -> None:
        """Ask the agent to end its turn; nobody is asked for permission any more."""
        turns = self._turns_or_error()
        assert self._session is not None
        assert self._permissions is not None
        if turns.running and not turns.cancel_fetching():
            await self._session.cancel()
        self._permissions.cancel_all()

    def answer_permission(self, request_id: str, option_id: str | None, meta: Mapping[str, Any], *, again: bool) -> None:
        """Hand an answer to the agent, as `Permissions.answer` takes it; UnknownRequestError or UnknownOptionError."""
        self._turns_or_error()
        assert self._permissions is not None
        self._permissions.answer(request_id, option_id, meta, again=again)

    async def set_config_option(self, config_id: str, value: str) -> list[dict[str, Any]]:
        """Set an option of the agent; the library's RequestError where it refuses."""
        self._turns_or_error()
        assert self._session is not None
        return await self._session.set_config_option(config_id, value)

    async def close(self, timeout_seconds: float) -> bool:
        """End the agent and flush the journal, at most so long; whether everything is with the control plane. Safe to repeat."""
        if not self._ending:
            await self._cancel_politely()
            await self._end_agent(_CLOSED, EndReason.AGENT_LOST)
        return await self._pusher.flush(timeout_seconds)

    async def stop(self, flush_seconds: float) -> None:
        """Close, and let everything go that this process holds."""
        await self.close(flush_seconds)
        await self._pusher.stop()
        await self._network.close()

    def write(self, entry: bytes) -> None:
        """Add a journal entry. A disk that refuses it ends the run: nothing may happen that is not written down."""
        try:
            self.journal.write(entry)
        except OSError as error:
            self._do(self._disk_refused(error))

    def turn_said(self, text: str) -> None:
        """Have what the agent has said posted, before the end of the turn is told: that may end the run."""
        if self._tells_thread:
            self._tell_thread(text)

    def first_turn_failed(self, sentence: str) -> None:
        """Report the run as failed."""
        self._report_failed(Failure(sentence, EndReason.AGENT_FAILED))

    def agent_disconnected(self) -> None:
        """An agent that has closed its output is of no use: its end is noticed, which comes of itself most of the time."""
        if self._process is not None:
            self._do(self._end_soon(self._process))

    async def _end_soon(self, process: AgentProcess) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ENDING_SECONDS):
                await process.wait()
            return
        self._speechless = True
        await process.end()

    def asked(self, request_id: str, params: Mapping[str, Any]) -> None:
        """Tell people that the agent waits for one of them."""
        self.write(self._writer.permission_request(request_id, params))

    def resolved(self, request_id: str, result: Mapping[str, Any], reason: str | None) -> None:
        """Tell people what the agent gets for an answer."""
        self.write(self._writer.permission_resolved(request_id, result, reason))

    async def _start(self, request: SessionRequest) -> None:
        logins = {f"AUTH {path}": text for path, text in request.files.items() if path.endswith(".json")}
        self._writer.mask = Mask(
            [request.run_token, *secret_values(request.environment), *secret_values(logins), *every_value(request.variables)]
        )
        self._pusher.start(request.run_token)
        self._attachments.start(request.run_token)
        try:
            proxies = await self._network.open(request.relays) if self.configuration.isolated else {}
        except OSError as error:
            raise AgentStartError(f"The agent's network could not be made: {error}.") from error
        environment = {**request.variables, **(self.configuration.base_environment or {}), **proxies, **request.environment}
        try:
            write_home_files(Path(environment.get("HOME", ".")), request.files)
        except OSError as error:
            raise AgentStartError(f"The agent's files could not be written to its home: {error}.") from error
        process = await self._spawn(request, environment)
        self._process = process
        self._tells_thread = request.tells_thread
        self._lease_seconds = request.lease_seconds
        tell_thread = self._tell_thread if request.asks_in_thread else None
        self._permissions = Permissions(request.mode, self, tell_thread, policy=request.background_permissions)
        session = AcpSession(process, self._writer, self._narration, write=self.write, ask=self._permissions.decide)
        await self._open(session, process, request)
        self._session = session
        self._ready(session, process)

    async def _spawn(self, request: SessionRequest, environment: Mapping[str, str]) -> AgentProcess:
        with self.reaper.starting() as own:
            process = await start_agent(
                request.command,
                cwd=self.configuration.workspace,
                environment=environment,
                mask=self._writer.mask,
                log=self.configuration.spool / "agent.stderr",
            )
            own.add(process.pid)
        return process

    async def _open(self, session: AcpSession, process: AgentProcess, request: SessionRequest) -> None:
        opening = asyncio.create_task(session.open(request, self.configuration.workspace), name="open")
        ended = asyncio.create_task(process.wait(), name="ended")
        try:
            async with asyncio.timeout(_START_SECONDS):
                await asyncio.wait({opening, ended}, return_when=asyncio.FIRST_COMPLETED)
                if opening.done() and isinstance(opening.exception(), ConnectionError):
                    await asyncio.wait({ended}, timeout=_CANCEL_SECONDS)
            await self._judge(opening, process)
        except (AgentStartError, TimeoutError) as error:
            await self._abandon(session, process)
            sentence = str(error) or f"The agent could not be started: it did not answer within {_START_SECONDS:g} seconds."
            raise AgentStartError(sentence) from error
        finally:
            opening.cancel()
            ended.cancel()
            await asyncio.gather(opening, ended, return_exceptions=True)

    async def _judge(self, opening: "asyncio.Task[None]", process: AgentProcess) -> None:
        """Return where the session is open; AgentStartError with the reason where it is not."""
        if not process.running:
            raise AgentStartError(f"The agent could not be started: it ended with {process.how_it_ended()}")
        error = opening.exception() if opening.done() else None
        words = f" ({process.last_words})" if process.last_words else ""
        if isinstance(error, request_error_class()):
            sentence = plain_words(self._writer.mask.text(sentence_of(error))).rstrip(".")
            raise AgentStartError(f"The agent could not be started: {sentence}{words}.") from error
        if isinstance(error, ConnectionError):
            raise AgentStartError(f"The agent could not be started: it closed its output{words}.") from error
        await opening

    async def _abandon(self, session: AcpSession, process: AgentProcess) -> None:
        self._ending = True
        await process.end()
        await session.close()
        self.reaper.end_orphans()

    def _ready(self, session: AcpSession, process: AgentProcess) -> None:
        lease = Lease(GateClient(self.configuration.gate_socket), self._lease_seconds, self._lease_over)
        self._turns = Turns(session, self._inbox, self._narration, self._writer, self, self._attachments, lease)
        self._turns.report_interrupted()
        configuration = self.configuration
        started = {
            "sessionId": session.id,
            "runId": str(configuration.run_id),
            "taskId": str(configuration.task_id),
            "agentVersion": session.agent_version,
        }
        self.write(self._writer.own("_posthog/run_started", started))
        self._pusher.report({"status": RunStatus.IN_PROGRESS.value}, after_entries=False)
        self._watching = asyncio.create_task(self._watch(process), name="watch")

    async def _watch(self, process: AgentProcess) -> None:
        """Notice an agent's death at once. What it said before is heard first: it may have ended its turn."""
        await process.wait()
        if self._turns is not None and not self._ending:
            await self._turns.rest(_HEARING_SECONDS)
        if self._ending:
            return
        failure = Failure(self._how_it_ended(process), EndReason.AGENT_LOST)
        session_id = "" if self._session is None else self._session.id
        if not await self._fail(failure):
            told = {"sessionId": session_id, "message": failure.sentence, "endReason": failure.reason.value}
            self.write(self._writer.own("_posthog/error", told))
        self._report_failed(failure)

    def _how_it_ended(self, process: AgentProcess) -> str:
        if not self._speechless:
            return f"The agent ended unexpectedly with {process.how_it_ended()}"
        words = process.last_words
        return f"The agent closed its output in the middle of its work{f': {words}' if words else ''}"

    async def _cancel_politely(self) -> None:
        if self._turns is None or self._session is None or self._permissions is None:
            return
        self._permissions.reject_all()
        if self._turns.running and not self._turns.cancel_fetching():
            with contextlib.suppress(ConnectionError, RuntimeError):
                await self._session.cancel()
            await self._turns.rest(_CANCEL_SECONDS)

    async def _end_agent(self, sentence: str, reason: EndReason) -> bool:
        """End the agent with all that it has started; its unfinished messages fail. Whether there were any."""
        self._ending = True
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
        if self._process is not None:
            await self._process.end()
        if self._session is not None:
            await self._session.close()
        left = await self._turns.end(sentence, reason) if self._turns is not None else False
        self.reaper.end_orphans()
        return left

    async def _revoked(self) -> None:
        """Another agent server has taken the run over, or the run is gone."""
        await self._end_agent("The control plane has taken the run away from this agent server.", EndReason.AGENT_LOST)

    def _lease_over(self) -> None:
        self._do(self._cut_off())

    async def _cut_off(self) -> None:
        """The control plane may have given the run to another machine by now. What happened is told once it answers again."""
        if self._ending:
            return
        sentence = f"The agent was stopped, since hedgerow had not answered it for {self._lease_seconds:g} seconds."
        failure = Failure(sentence, EndReason.AGENT_LOST)
        await self._fail(failure)
        self._report_failed(failure)

    async def _disk_refused(self, error: OSError) -> None:
        if self._ending:
            return
        self._ending = True
        failure = Failure(f"The journal of the run could not be written: {error.strerror or error}.", EndReason.AGENT_FAILED)
        self._report_failed(failure, after_entries=False)
        await self._fail(failure)

    async def _fail(self, failure: Failure) -> bool:
        """End the agent since it is of no use any more, and remember why; as `_end_agent`."""
        self._failure = failure
        return await self._end_agent(failure.sentence, failure.reason)

    def _report_failed(self, failure: Failure, *, after_entries: bool = True) -> None:
        body = {"status": RunStatus.FAILED.value, "error_message": failure.sentence, "end_reason": failure.reason.value}
        self._pusher.report(body, after_entries=after_entries)

    def _tell_thread(self, text: str) -> None:
        words = shortened(self._writer.mask.text(text))
        if words:
            self._pusher.relay(words)

    def _turns_or_error(self) -> Turns:
        if self._turns is None or self._ending:
            raise NoSessionError(_NO_SESSION, self._failure)
        return self._turns

    def _do(self, errand: Any) -> None:
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
