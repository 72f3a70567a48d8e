"""A world in one process without a clock of its own: one run's row and inbox, its sandboxes with their agents, and those who change them.

Each transaction of the real thing is one step here, with the same conditions and the same effects on the row; between two steps
anything may happen. What clients and agents see is recorded for the checker.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from itertools import count
from operator import attrgetter
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from hedgerow.checker.records import (
    Answered,
    Closed,
    Frame,
    Heard,
    InboxRead,
    Kind,
    Leftover,
    MessageSeen,
    Opened,
    Record,
    Scope,
    Sent,
    Settled,
    StateRead,
)
from hedgerow.db.executions import FORGOTTEN
from hedgerow.domain.actions import Action
from hedgerow.domain.deadlines import Deadlines
from hedgerow.domain.endings import settled_ending
from hedgerow.domain.housekeeping import WAITING_KEY
from hedgerow.domain.inbox import Inbox
from hedgerow.domain.messages import HANDED_OVER, MOVED, REMOVED, UNANSWERED, MessageStatus
from hedgerow.domain.permission_requests import RUN_OVER, SESSION_OVER
from hedgerow.domain.runs import Ending, EndReason, Environment, Execution, RunMode, RunStatus, SandboxHandle, TaskRun
from hedgerow.domain.takeovers import Takeover
from tests.simulation.requests import Requests

BEGIN = datetime(2026, 5, 7, 12, tzinfo=UTC)
DEADLINES = Deadlines(
    inactivity=timedelta(seconds=120),
    wall_clock=timedelta(seconds=900),
    look_again=timedelta(seconds=60),
    checkpoint=timedelta(seconds=50),
    sandbox=timedelta(seconds=800),
    turn_silence=timedelta(seconds=250),
    landing=timedelta(seconds=40),
    stopping=timedelta(seconds=15),
    prepare_attempts=3,
)
LEASE_SECONDS = 25.0  # longer than any worker takes to come back after a crash
LONGEST_LINE_SECONDS = 100.0
LONGEST_FULL_SECONDS = 60.0  # that a node's disk is too full for another run; each of them once
NODES = (UUID(int=1), UUID(int=2))
RUN = "run"
BASE = "1" * 40
KEPT = "The result could not be collected."  # the one thing that may come between an end that is decided and its being told

_UNFINISHED = (MessageStatus.QUEUED, MessageStatus.DELIVERED)
_STATUSES = frozenset(status.value for status in MessageStatus)


_Frozen = TypeVar("_Frozen", TaskRun, Execution)
_FIELDS = {kind: {each.name: getattr(kind, each.name) for each in fields(kind)} for kind in (TaskRun, Execution)}
_VALUES = {kind: attrgetter(*names) for kind, names in _FIELDS.items()}
_WRITERS = {kind: tuple(slot.__set__ for slot in slots.values()) for kind, slots in _FIELDS.items()}


def _copied(row: _Frozen, changes: dict[str, Any]) -> _Frozen:
    """What dataclasses.replace gives, in a fraction of the time, which is most of what a history takes. It writes past the freezing."""
    kind = type(row)
    copy = object.__new__(kind)
    for write, value in zip(_WRITERS[kind], _VALUES[kind](row), strict=True):
        write(copy, value)
    for name, value in changes.items():
        _FIELDS[kind][name].__set__(copy, value)
    return copy


def _full_disks(random: Random) -> dict[UUID, tuple[float, float]]:
    """When the disk of each node is full: mostly never."""
    begins = [random.choice([0.0, random.uniform(0.0, 400.0)]) for _ in NODES]
    lengths = [random.uniform(0.0, LONGEST_FULL_SECONDS) if random.random() < 0.2 else 0.0 for _ in NODES]
    return {node: (begin, begin + length) for node, begin, length in zip(NODES, begins, lengths, strict=True)}


def _without_waiting(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key != WAITING_KEY}


@dataclass(slots=True, eq=False)
class Message:
    """A message in the inbox."""

    text: str
    status: MessageStatus = MessageStatus.QUEUED
    error: str | None = None
    taken: bool = False


@dataclass(slots=True, eq=False)
class Sandbox:
    """A sandbox with its agent server, which keeps each message once, and its agent."""

    handle: SandboxHandle
    epoch: int
    node: UUID
    alive: bool = True
    session: bool = False
    agent_alive: bool = True
    queue: list[Message] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    playing: Message | None = None
    turn: int = 0  # how many turns there were, so that the end of one that is over already means nothing
    unsent: list[Callable[[], None]] = field(default_factory=list)  # what the agent server has not handed over yet
    asking: set[str] = field(default_factory=set)  # the permission requests that its agent waits for
    answers: dict[str, str] = field(default_factory=dict)
    held: tuple[int, str | None] | None = None  # a turn that would be over, if its agent did not wait for an answer


class World:
    """Everything that survives the death of a worker."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.skew = 0.0  # by how much the clock of the control plane is wrong
        self.name = RUN
        self.history: list[Record] = [Scope(at=0.0, client="world", run=RUN, agent=True)]
        self.history.append(Opened(at=0.0, client="reader", run=RUN, reading="1"))
        self.head = 0  # of the journal
        self.requests = Requests(self)
        self.trace: list[tuple[float, UUID, Action]] = []  # what was decided, when and where
        self.messages: list[Message] = []
        self.sandboxes: dict[str, Sandbox] = {}
        self.orphans: set[str] = set()  # sandboxes whose maker died before it could write them down
        self.folders: set[UUID] = set()  # the nodes on which the run has one
        self.gone: set[UUID] = set()  # nodes that never come back
        self.repository = self.random.random() < 0.7  # whether the task has one: only then there is something to checkpoint
        self.work = dict.fromkeys(NODES, 0)  # what stands in the workspace of each node: it grows whenever an agent works
        self.owed = 0  # what stood there when the last turn ended that was heard of
        self.landed = dict.fromkeys(NODES, 0)  # what of it each node has landed
        self.result = 0  # what was landed last
        self.heard_at: datetime | None = None
        self.full_until = self.random.choice([0.0, 0.0, 0.0, 10.0, LONGEST_LINE_SECONDS])  # other runs hold every place until then
        self.ahead = self.random.randrange(3)  # how many wait before this run
        self.full_disks = _full_disks(Random(f"the disks of {seed}"))  # from when until when
        self.nudge: Callable[[UUID | None], None] = lambda node_id: None
        self.find: Callable[[UUID | None], None] = lambda node_id: None
        self.stir: Callable[[], None] = lambda: None
        self.fenced = True  # whether the control plane refuses the run tokens of an older epoch
        self.takeovers: list[Takeover] = []
        self.reachable: Callable[[UUID], bool] = lambda node: True  # whether a node's gate answers
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count(1)
        mode = self.random.choice(list(RunMode))
        self.run = TaskRun(
            id=UUID(int=9),
            task_id=UUID(int=8),
            project_id=1,
            number=1,
            status=RunStatus.QUEUED,
            environment=Environment.CLOUD,
            created_at=BEGIN,
            updated_at=BEGIN,
            state={"mode": mode.value},
        )

    # Time

    def clock(self) -> datetime:
        """What the control plane takes the time to be."""
        return BEGIN + timedelta(seconds=self.now + self.skew)

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Have something happen later."""
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), event))

    def play(self, until: float) -> bool:
        """Let everything happen that is due before `until`; whether nothing is left to happen."""
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        return not self._events

    # The line

    def room(self) -> bool:
        """Whether the run may be claimed; one that was claimed before keeps its place."""
        return self.now >= self.full_until or self.run.execution.claimed_at is not None

    def may_claim(self, node: UUID) -> bool:
        """Whether a node's disk has room for the run; what is there already stays."""
        begin, end = self.full_disks[node]
        return self.run.execution.node_id is not None or not begin <= self.now < end

    def stop_waiting(self) -> None:
        """Nothing says any more that the run waits for a disk."""
        if WAITING_KEY in self.run.state:
            self.row(state=_without_waiting(self.run.state))

    def move_up(self) -> None:
        """Somebody who waited before the run waits no more."""
        place = self.run.execution.place
        if self.ahead and place is not None:
            self.ahead -= 1
            self.facts(place=place - 1)

    def call_next(self) -> None:
        """A place has come free: whoever is next hears of it."""
        if self.run.execution.place is not None and self.run.execution.claimed_at is None:
            self.wake()

    # The row

    def facts(self, **facts: Any) -> None:
        """Write facts of the execution. Raise AssertionError for an end that is none of this start's, or not the first."""
        ending, before = facts.get("ending"), self.run.execution.ending
        if ending is not None and ending.message != KEPT:
            assert before is None, f"an end that was decided is overwritten: {before}"
            assert not self.run.execution.restarting, f"what befell an earlier start ends the new one: {ending}"
        place, stood = facts.get("place"), self.run.execution.place
        assert place is None or stood is None or place < stood, f"the run moved back in its line, from {stood} to {place}"
        self.run = _copied(self.run, {"execution": _copied(self.run.execution, facts)})
        if facts.get("wake_at") is not None:
            self._await_sweep(facts["wake_at"])
        self.stir()

    def overrule(self, **facts: Any) -> None:
        """Write facts as `facts` does, where the machine that knew better is lost: an end that nobody was told of may change."""
        self.run = _copied(self.run, {"execution": _copied(self.run.execution, facts)})
        self.stir()

    def row(self, **columns: Any) -> None:
        """Write what clients see."""
        before = self.run
        self.run = _copied(before, columns)
        if self.run.status.terminal and not before.status.terminal:
            self.requests.void_open(RUN_OVER)
        if (self.run.status, self.run.state.get("end_reason")) != (before.status, before.state.get("end_reason")):
            self.read_state()
        self.stir()

    def tell(self, text: str) -> None:
        """An event of the journal, which somebody reads at once."""
        self.head += 1
        self.history.append(Frame(at=self.now, client="reader", reading="1", number=self.head, text=text))

    def stand(self, message: Message, status: str, error: str | None = None) -> None:
        """A message stands somewhere else from now on, and an event tells of it."""
        if status in _STATUSES:
            message.status, message.error = MessageStatus(status), error
        more = "" if error is None else f',"error":"{error}"'
        params = f'{{"messageId":"{message.text}","status":"{status}"{more}}}'
        self.tell(f'{{"type":"message_status","notification":{{"params":{params}}}}}')

    def wake(self, **facts: Any) -> None:
        """Write facts, and have a worker look."""
        self.facts(wake_at=self.clock(), **facts)
        self.nudge(self.run.execution.node_id)

    def _await_sweep(self, moment: datetime) -> None:
        """Workers sweep every second: whatever was announced to nobody is found then."""
        wait = max(0.0, (moment - self.clock()).total_seconds()) + self.random.uniform(0.5, 1.6)
        self.after(wait, lambda: self._sweep(moment))

    def _sweep(self, moment: datetime) -> None:
        wake_at = self.run.execution.wake_at
        if wake_at is None or wake_at != moment or self.run.execution.node_id in self.gone:
            return
        if wake_at <= self.clock():
            self.find(self.run.execution.node_id)
            self.after(5.0, lambda: self._sweep(moment))
        else:
            self._await_sweep(moment)  # the clock went back

    def may_end(self) -> bool:
        """Whether the server drives this start of the run, and nobody has ended it or decided how it ends."""
        execution = self.run.execution
        driven = execution.started_at is not None and self.run.environment is Environment.CLOUD and not execution.restarting
        return driven and execution.ending is None and not self.run.status.terminal

    def end(self, ending: Ending) -> None:
        """The server sets the terminal status of the run. Raise AssertionError where that is not for it to set."""
        assert self.run.environment is Environment.CLOUD, "the server ends a run of its client"
        assert not self.run.execution.restarting or ending.message == KEPT, "a run that was started again is ended as its earlier start"
        saved = not self.repository or self.result >= self.owed
        assert saved or ending.reason is not EndReason.FINISHED, "a success is told whose work is gone"
        self.fail_unfinished(UNANSWERED)
        self.row(status=ending.status, state=_without_waiting(self.run.state) | {"end_reason": ending.reason.value})

    def inbox(self) -> Inbox:
        """How many messages stand where."""
        queued = delivered = 0
        for message in self.messages:
            queued += message.status is MessageStatus.QUEUED
            delivered += message.status is MessageStatus.DELIVERED
        return Inbox(queued=queued, delivered=delivered, heard_at=self.heard_at, **self.requests.facts())

    def fail_unfinished(self, error: str) -> None:
        """Give up every message whose turn has not ended."""
        for message in self.messages:
            if message.status in _UNFINISHED:
                self.stand(message, MessageStatus.FAILED, error)

    # What clients do: each method is one operation of the API, and one transaction

    def say(self, client: str, kind: Kind, *items: str, accepted: bool, epoch: int | None = None) -> None:
        """Record a call that is answered at once."""
        call = self.new_call()
        self.history.append(Sent(at=self.now, client=client, run=RUN, call=call, kind=kind, items=items, epoch=epoch))
        self.history.append(Answered(at=self.now, client=client, call=call, accepted=accepted))

    def new_call(self) -> str:
        """A name that nothing had before."""
        return f"call-{next(self._numbers)}"

    def read_state(self) -> None:
        """Somebody looks at the run."""
        status, reason = self.run.status.value, self.run.state.get("end_reason")
        self.history.append(StateRead(since=self.now, at=self.now, client="watcher", run=RUN, status=status, end_reason=reason))

    def start(self) -> None:
        """run/: the run is driven from now on."""
        self._drive()

    def resume(self) -> None:
        """resume_in_cloud: refused where the run is active in the cloud."""
        if self.run.environment is Environment.CLOUD and self.run.status in {RunStatus.QUEUED, RunStatus.IN_PROGRESS}:
            return
        state = {key: value for key, value in self.run.state.items() if key != "end_reason"} | {"mode": RunMode.INTERACTIVE.value}
        call = f"call-{next(self._numbers)}"
        self.history.append(Sent(at=self.now, client="person", run=RUN, call=call, kind=Kind.START))
        self.row(status=RunStatus.QUEUED, environment=Environment.CLOUD, completed_at=None, error_message=None, state=state)
        self._drive(call)

    def _drive(self, call: str | None = None) -> None:
        if call is None:
            call = f"call-{next(self._numbers)}"
            self.history.append(Sent(at=self.now, client="person", run=RUN, call=call, kind=Kind.START))
        self.history.append(Answered(at=self.now, client="person", call=call, accepted=True))
        execution, now = self.run.execution, self.clock()
        left = execution.node_id is not None and execution.cleaned_at is None
        self.fail_unfinished(UNANSWERED)
        self._queue(f"first words {next(self._numbers)}")
        facts: dict[str, Any] = {"started_at": now, "active_at": now, "cancel_requested_at": None, "ending": None}
        self.wake(**facts, **({"restarting": True} if left else FORGOTTEN))

    def _queue(self, text: str) -> None:
        message = Message(text)
        self.messages.append(message)
        self.stand(message, MessageStatus.QUEUED)
        self.say("person", Kind.MESSAGE, text, accepted=True)

    def ask_again(self, message: Message) -> None:
        """The server has the next agent hear first what the last one was at."""
        text = f"again {next(self._numbers)}: {message.text}"
        waiting = (index for index, other in enumerate(self.messages) if other.status is MessageStatus.QUEUED and not other.taken)
        repeated = Message(text)
        self.messages.insert(next(waiting, len(self.messages)), repeated)
        self.stand(repeated, MessageStatus.QUEUED)
        self.stand(repeated, MOVED)
        self.say("server", Kind.MESSAGE, text, accepted=True)
        self.say("server", Kind.MOVE, text, accepted=True)

    def message(self) -> None:
        """user_message: refused where nobody would hand it to the agent."""
        execution = self.run.execution
        driven = execution.started_at is not None and self.run.environment is Environment.CLOUD
        text = f"message {next(self._numbers)}"
        if not driven or self.run.status.terminal or execution.ending is not None:
            self.say("person", Kind.MESSAGE, text, accepted=False)
            return
        self._queue(text)
        self.wake(active_at=self.clock(), cancel_requested_at=None)

    def withdraw(self) -> None:
        """DELETE of a message that waits."""
        waiting = [message for message in self.messages if message.status is MessageStatus.QUEUED and not message.taken]
        if waiting:
            message = self.random.choice(waiting)
            self.messages.remove(message)
            self.stand(message, REMOVED)
            self.say("person", Kind.WITHDRAWAL, message.text, accepted=True)
            self.wake(active_at=self.clock())

    def move(self) -> None:
        """A message that waits is to be said after all others."""
        waiting = [message for message in self.messages if message.status is MessageStatus.QUEUED and not message.taken]
        if waiting:
            message = self.random.choice(waiting)
            self.messages.remove(message)
            self.messages.append(message)
            self.stand(message, MOVED)
            self.say("person", Kind.MOVE, message.text, accepted=True)

    def end_by_hand(self) -> None:
        """PATCH with a terminal status."""
        status = self.random.choice([RunStatus.CANCELLED, RunStatus.COMPLETED, RunStatus.FAILED])
        self.say("person", Kind.END, accepted=True)
        known = self.run.state if status is self.run.status and "end_reason" in self.run.state else None
        driven, before = self.run.execution.started_at is not None, self.run.status
        if self.run.execution.sandbox is None:
            self.fail_unfinished(UNANSWERED)
        self.row(status=status, state=known or _without_waiting(self.run.state) | {"end_reason": EndReason.CLIENT.value})
        if driven and status is not before:
            self.wake()

    def open_again(self) -> None:
        """PATCH of an ended run with a status that is not terminal: it is the client's from now on."""
        if self.run.status.terminal:
            self.say("person", Kind.OPEN, accepted=True)
            state = {key: value for key, value in self.run.state.items() if key != "end_reason"}
            driven = self.run.execution.started_at is not None
            self.row(status=RunStatus.IN_PROGRESS, state=state)
            if driven:
                self.fail_unfinished(UNANSWERED)
                self.wake(started_at=None)

    def hand_over(self) -> None:
        """PATCH {environment: local}."""
        if self.run.environment is Environment.CLOUD:
            self.say("person", Kind.OPEN, accepted=True)
            self.row(environment=Environment.LOCAL, state=_without_waiting(self.run.state))
            self.fail_unfinished(HANDED_OVER)
            if self.run.execution.started_at is not None:
                self.wake()

    def cancel(self) -> None:
        """The command cancel: the agent server hears of it first, then the row."""
        sandbox = self.sandbox()
        if sandbox is None or not (sandbox.alive and sandbox.session and sandbox.agent_alive):
            return
        if sandbox.playing is not None:
            self.after(self.random.uniform(0.0, 2.0), lambda turn=sandbox.turn: self._end_turn(sandbox, turn, "cancelled"))  # type: ignore[misc]
        self.after(self.random.uniform(0.0, 1.0), lambda: self.wake(cancel_requested_at=self.clock(), active_at=self.clock()))

    # What agents do

    def sandbox(self) -> Sandbox | None:
        """The sandbox that the row names."""
        handle = self.run.execution.sandbox
        return None if handle is None else self.sandboxes[handle.id]

    def new_sandbox(self, epoch: int, node: UUID) -> Sandbox:
        """A sandbox that nobody knows of yet."""
        handle = SandboxHandle(provider="process", id=str(next(self._numbers)))
        sandbox = self.sandboxes[handle.id] = Sandbox(handle, epoch, node)
        return sandbox

    def ask_to_stop(self, sandbox: Sandbox) -> None:
        """Somebody wants the turn to stop. Most agents do so; some go on."""
        if sandbox.playing is not None and self.random.random() < 0.7:
            self.after(self.random.uniform(0.0, 5.0), lambda turn=sandbox.turn: self._end_turn(sandbox, turn, "cancelled"))  # type: ignore[misc]

    def take_in(self, sandbox: Sandbox, message: Message) -> None:
        """The agent server takes a message, once."""
        if message.text not in sandbox.known:
            sandbox.known.add(message.text)
            sandbox.queue.append(message)
            self._play_next(sandbox)

    def _play_next(self, sandbox: Sandbox) -> None:
        if sandbox.playing is not None or not sandbox.queue or not (sandbox.alive and sandbox.agent_alive):
            return
        if not self._has_leave(sandbox):
            self._await_leave(sandbox, self.now + LEASE_SECONDS)
            return
        sandbox.playing = message = sandbox.queue.pop(0)
        sandbox.turn += 1
        self.work[sandbox.node] += 1
        self.history.append(Heard(at=self.now, client="agent", run=RUN, kind=Kind.MESSAGE, item=message.text, epoch=sandbox.epoch))
        length = self.random.choice([0.0, 0.1, 3.0, 30.0, 200.0, None])
        turn, stop_reason = sandbox.turn, self.random.choice(["end_turn", "end_turn", "end_turn", "refusal", None])
        if self.random.random() < 0.1:
            self.after(self.random.uniform(0.0, 3.0), self.requests.ask)
        if length is not None:
            self.after(self.random.uniform(0.0, 2.0) * length, lambda: self._end_turn(sandbox, turn, stop_reason))
        elif self.random.random() < 0.5:  # otherwise it hangs
            self._go_on(sandbox, turn)

    def _go_on(self, sandbox: Sandbox, turn: int) -> None:
        """The agent works without end, and says something now and then."""
        if sandbox.turn == turn and sandbox.playing is not None and sandbox.alive and sandbox.agent_alive:
            self.push(sandbox, lambda: self._hear(sandbox))
            self.after(90.0, lambda: self._go_on(sandbox, turn))

    def _hear(self, sandbox: Sandbox) -> None:
        self.accepts(sandbox, f"something in turn {sandbox.turn}, at {self.now}")

    def _has_leave(self, sandbox: Sandbox) -> bool:
        """Whether the gate tells an agent that it may go on: not where its node is silent, nor where it has lost the run."""
        return self.reachable(sandbox.node) and sandbox.epoch == self.run.execution.epoch

    def _await_leave(self, sandbox: Sandbox, until: float) -> None:
        def look() -> None:
            if self._has_leave(sandbox):
                self._play_next(sandbox)
            elif self.now < until:
                self.after(1.0, look)
            else:
                self.cut_off(sandbox)

        self.after(1.0, look)

    def cut_off(self, sandbox: Sandbox) -> None:
        """An agent whose node has been silent for its lease is stopped by its agent server, which reports that when it can."""
        if sandbox.alive and sandbox.agent_alive and (sandbox.playing is not None or sandbox.queue):
            self.close_agent(sandbox, "The agent was cut off.")
            self.push(sandbox, lambda: self._report_failed(sandbox))

    def _end_turn(self, sandbox: Sandbox, turn: int, stop_reason: str | None) -> None:
        if sandbox.turn == turn and sandbox.playing is not None and sandbox.alive and sandbox.agent_alive:
            if sandbox.asking and stop_reason != "cancelled":
                sandbox.held = (turn, stop_reason)
                return
            self.requests.withdraw(sandbox)
            message, sandbox.playing = sandbox.playing, None
            self.work[sandbox.node] += 1
            self.push(sandbox, lambda: self._record_turn(sandbox, message, stop_reason, None))
            self._play_next(sandbox)

    def go_on(self, sandbox: Sandbox) -> None:
        """The agent has the answers that it waited for."""
        if sandbox.held is not None:
            (turn, stop_reason), sandbox.held = sandbox.held, None
            self.after(self.random.uniform(0.0, 1.0), lambda: self._end_turn(sandbox, turn, stop_reason))

    def push(self, sandbox: Sandbox, effect: Callable[[], None]) -> None:
        """The agent server hands over what it has, in order, unless its sandbox dies before."""
        sandbox.unsent.append(effect)
        self.after(self.random.uniform(0.0, 1.0) * self.random.choice([0.1, 1.0, 10.0]), lambda: self.flush(sandbox))

    def flush(self, sandbox: Sandbox) -> None:
        """Everything that the agent server has is handed over, once its node's gate answers."""
        if sandbox.alive and not self.reachable(sandbox.node):
            self.after(1.0, lambda: self.flush(sandbox))
            return
        effects, sandbox.unsent = sandbox.unsent, []
        if sandbox.alive:
            for effect in effects:
                effect()

    def accepts(self, sandbox: Sandbox, what: str) -> bool:
        """Whether the control plane hears the run token of a sandbox: it refuses those of an older epoch."""
        accepted = sandbox.epoch == self.run.execution.epoch or not self.fenced
        if accepted:
            self.heard_at = self.clock()
        self.say("agent", Kind.ENTRIES, what, accepted=accepted, epoch=sandbox.epoch)
        return accepted

    def _record_turn(self, sandbox: Sandbox, message: Message, stop_reason: str | None, error: str | None) -> None:
        if not self.accepts(sandbox, f"turn of {message.text}") or message.status not in _UNFINISHED or message not in self.messages:
            return
        self.stand(message, MessageStatus.ACKNOWLEDGED if error is None else MessageStatus.FAILED, error)
        self.owed = self.work[sandbox.node]
        failure = None if error is None else Ending(status=RunStatus.FAILED, reason=EndReason.AGENT_LOST, message=error)
        self.wake(turn_ended_at=self.clock(), stop_reason="error" if error else stop_reason, failure=failure, active_at=self.clock())

    def close_agent(self, sandbox: Sandbox, sentence: str) -> None:
        """The agent ends; its unfinished messages fail."""
        left = [*([sandbox.playing] if sandbox.playing else []), *sandbox.queue]
        sandbox.agent_alive, sandbox.playing, sandbox.queue = False, None, []
        self.requests.withdraw(sandbox, SESSION_OVER)
        for message in left:
            self.push(sandbox, lambda message=message: self._record_turn(sandbox, message, None, sentence))  # type: ignore[misc]

    def lose_agent(self) -> None:
        """The agent dies; its agent server says so, and reports the run as failed."""
        sandbox = self.sandbox()
        if sandbox is not None and sandbox.alive and sandbox.session and sandbox.agent_alive:
            self.close_agent(sandbox, "The agent ended unexpectedly.")
            self.push(sandbox, lambda: self._report_failed(sandbox))

    def _report_failed(self, sandbox: Sandbox) -> None:
        if not self.accepts(sandbox, "patch") or not self.may_end():
            return
        settled = settled_ending(self.run, self.inbox())
        if settled is not None:
            self.wake(ending=settled)
            return
        self.row(status=RunStatus.FAILED, state={**self.run.state, "end_reason": EndReason.AGENT_LOST.value})
        self.wake()

    def accept_output(self) -> None:
        """The agent hands in an output that fits its task's schema."""
        sandbox = self.sandbox()
        if sandbox is None or not (sandbox.alive and sandbox.session and sandbox.agent_alive):
            return
        self.push(sandbox, lambda: self._set_output(sandbox))

    def _set_output(self, sandbox: Sandbox) -> None:
        if self.accepts(sandbox, "patch") and self.may_end():
            self.wake(ending=Ending(status=RunStatus.COMPLETED, reason=EndReason.OUTPUT_ACCEPTED))

    def lose_sandbox(self) -> None:
        """A sandbox dies with everything in it."""
        sandbox = self.sandbox()
        if sandbox is not None:
            sandbox.alive = False

    def jump(self) -> None:
        """The control plane's clock is put forward or back."""
        self.skew += self.random.choice([-100.0, -5.0, 5.0, 100.0])

    # At the end

    def conclude(self) -> list[Record]:
        """The history, with what is seen once nothing happens any more."""
        self.history.append(Settled(at=self.now, client="world"))
        self.history.append(Closed(at=self.now, client="reader", reading="1", drained=True))
        self.read_state()
        seen = tuple(MessageSeen(text=m.text, status=m.status.value, error=m.error, id=m.text) for m in self.messages)
        self.history.append(InboxRead(since=self.now, at=self.now, client="watcher", run=RUN, messages=seen))
        left = [f"sandbox {name}" for name, sandbox in self.sandboxes.items() if sandbox.alive and name not in self.orphans]
        for what in [*left, *("a workspace" for _ in self.folders - self.gone)]:
            self.history.append(Leftover(at=self.now + 10_000, client="watcher", run=RUN, what=what))
        return self.history
