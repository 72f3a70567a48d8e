"""The workers of two nodes: they look, decide and act as lifecycle/reconcile does, and may die between any two steps.

Each action is a generator that yields how long its next step takes outside the database. Its code between two yields is one
transaction of the real action, with the same conditions.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from hedgerow.db.executions import FORGOTTEN
from hedgerow.domain.actions import (
    Action,
    BeginAgain,
    Checkpoint,
    Claim,
    CleanUp,
    Conclude,
    Deliver,
    End,
    ExpireRequests,
    GiveAnswer,
    HandOver,
    Hold,
    Land,
    LeaveQueue,
    Nothing,
    Prepare,
    StartSession,
    StopSandbox,
    StopTurn,
    Wait,
)
from hedgerow.domain.endings import settled_ending
from hedgerow.domain.housekeeping import DISK_FULL, WAITING_KEY
from hedgerow.domain.inbox import Inbox
from hedgerow.domain.messages import UNANSWERED, MessageStatus
from hedgerow.domain.permission_requests import SESSION_OVER
from hedgerow.domain.runs import Ending, EndReason, Environment, RunStatus, TaskRun
from hedgerow.domain.takeovers import LOST_MESSAGE, lives_by_its_checkpoint, may_be_taken_over, takeover
from tests.simulation.world import BASE, DEADLINES, KEPT, LEASE_SECONDS, NODES, Sandbox, World

MARGIN_SECONDS = 2.5
LONGEST_WATCH_SECONDS = 600.0  # nobody does anything any more by then
MOST_STEPS = 40  # more looks in one go than any run needs
MOST_REPEATS = 2  # equal actions in a row, with equal facts, and nothing in their way
_ONWARD = (Prepare, StartSession, Deliver, Checkpoint, GiveAnswer, ExpireRequests)

Decide = Callable[..., Action]
Steps = Generator[float, None, None]


class FaultError(Exception):
    """An action met something that the real one would meet as a HedgerowError."""

    def __init__(self, reason: EndReason, *, passing: bool = False) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.passing = passing


class TakenOverError(Exception):
    """The run's epoch has moved on."""


@dataclass(slots=True, eq=False)
class Job:
    """A worker that is looking after the run. `token` changes with each step, so that a wake-up for an earlier one means nothing."""

    node: UUID
    steps: Steps
    token: int = 0
    racing: bool = False
    frozen: bool = False  # its node stands still; it goes on in the middle of a step once that is over


@dataclass(slots=True)
class Spinning:
    """How often the same was decided from the same facts."""

    last: tuple[Any, ...] = ()
    repeats: int = 0
    steps: int = 0

    def note(self, node: UUID, action: Action, run: TaskRun, inbox: Inbox) -> None:
        """Raise AssertionError where a worker goes round in circles."""
        seen = (node, action, run, inbox)
        self.repeats = self.repeats + 1 if seen == self.last else 0
        self.last = seen
        self.steps += 1
        assert self.repeats < MOST_REPEATS, f"{action} again and again"
        assert self.steps < MOST_STEPS, f"a worker that does not come to rest: {action}"


@dataclass(slots=True)
class Workers:
    """The workers of both nodes. One of them at a time looks after the run, as the lock of its jobs sees to."""

    world: World
    decide: Decide
    trouble: float  # how likely a step fails
    lost_nudges: float
    doubled_nudges: float
    slow: float  # how long steps take
    up: dict[UUID, bool] = field(default_factory=lambda: dict.fromkeys(NODES, True))
    job: Job | None = None
    running: Job | None = None  # whose step is being taken
    thawed: set[Job] = field(default_factory=set)  # of nodes that were taken for lost in the middle of them
    outages: dict[UUID, int] = field(default_factory=lambda: dict.fromkeys(NODES, 0))
    lost: set[UUID] = field(default_factory=set)  # machines that are silent for longer than a crash lasts
    waiting: list[UUID | None] = field(default_factory=list)  # nudges that wait for the job to end, or for their worker
    spinning: Spinning = field(default_factory=Spinning)

    def nudge(self, node_id: UUID | None) -> None:
        """Announce the run to a node, or to whoever comes first. An announcement may be lost, doubled and late."""
        random = self.world.random
        if random.random() < self.lost_nudges:
            return
        for _ in range(2 if random.random() < self.doubled_nudges else 1):
            self.world.after(random.uniform(0.0, 0.3) * self.slow, lambda: self.arrive(node_id))

    def arrive(self, node_id: UUID | None) -> None:
        """An announcement has come to a node, or its sweep has found the run."""
        if node_id not in self.waiting:
            self.waiting.append(node_id)
        self._take_next()

    def _take_next(self) -> None:
        if self.job is not None:
            return
        for node_id in self.waiting:
            able = [node for node in NODES if self.up[node] and node_id in {None, node}]
            if able:
                self.waiting.remove(node_id)
                node = self.world.random.choice(able)
                self.spinning.steps = 0
                self.job = Job(node, self._reconcile(node))
                self._step(self.job, 0)
                return

    def _step(self, job: Job, token: int) -> None:
        if (self.job is not job and job not in self.thawed) or job.token != token or job.frozen:
            return
        job.token += 1
        self.running = job
        try:
            pause = next(job.steps)
        except StopIteration:
            self.thawed.discard(job)
            if self.job is job:
                self.job = None
                self._take_next()
            return
        self._resume(job, pause)

    def _resume(self, job: Job, pause: float) -> None:
        token = job.token
        self.world.after(pause, lambda: self._step(job, token))

    def stir(self) -> None:
        """The row has changed: who is on a long way looks up, within a second."""
        for job in filter(None, (self.job, *self.thawed)):
            if job.racing:
                self._resume(job, self.world.random.choice([0.01, 1.0]))

    def crash(self) -> None:
        """Kill the worker of a node. Another one goes on with what it finds."""
        node = self.world.random.choice(NODES)
        if not self.up[node]:
            return
        self.up[node] = False
        if self.job is not None and self.job.node == node:
            self.job.steps.close()
            self.job = None
            self.spinning.last = ()
        self.world.after(self.world.random.uniform(0.1, 20.0), lambda: self._take_up(node))
        self._take_next()

    def _take_up(self, node: UUID) -> None:
        self.up[node] = True
        self._let_go(node)
        execution = self.world.run.execution
        if execution.node_id == node and execution.cleaned_at is None:
            self.world.facts(wake_at=self.world.clock())
        self._take_next()
        self.watch()

    def lose_machine(self) -> None:
        """A whole machine dies with its sandboxes, and may come back; or it stands still for a while and goes on as if nothing were."""
        random, node = self.world.random, self.world.random.choice(NODES)
        if not self.up[node] or self.lost:
            return  # one machine is always left
        self.up[node] = False
        self.lost.add(node)
        self.outages[node] += 1
        if random.random() < 0.5:
            self._kill_machine(node)
            back = random.choice([None, 10.0, 120.0])
        else:
            self._freeze(node)
            back = random.choice([5.0, 40.0, 120.0])
        outage = self.outages[node]
        self.world.after(LEASE_SECONDS + MARGIN_SECONDS + random.uniform(0.0, 5.0), lambda: self._declare_lost(node, outage))
        if back is None:
            self.world.gone.add(node)
        else:
            self.world.after(random.uniform(0.1, back), lambda: self._come_back(node))
        self._take_next()

    def _kill_machine(self, node: UUID) -> None:
        if self.job is not None and self.job.node == node:
            self.job.steps.close()
            self.job = None
            self.spinning.last = ()
        for sandbox in self.world.sandboxes.values():
            if sandbox.node == node:
                sandbox.alive = False

    def _freeze(self, node: UUID) -> None:
        """The worker stands still, and its gate; sandboxes go on until their lease is over."""
        if self.job is not None and self.job.node == node:
            self.job.frozen = True
        outage = self.outages[node]
        for sandbox in self.world.sandboxes.values():
            if sandbox.node == node:
                self.world.after(LEASE_SECONDS, lambda sandbox=sandbox: self._cut_off(sandbox, outage))  # type: ignore[misc]

    def _cut_off(self, sandbox: Sandbox, outage: int) -> None:
        if not self.up[sandbox.node] and self.outages[sandbox.node] == outage:
            self.world.cut_off(sandbox)

    def _declare_lost(self, node: UUID, outage: int) -> None:
        """The other worker has seen the node's beat stand still, and goes on looking for as long as it does."""
        if self.up[node] or self.outages[node] != outage:
            return
        (other,) = (other for other in NODES if other != node)
        if self.up[other]:
            if self.job is not None and self.job.node == node:
                self.thawed.add(self.job)
                self.job = None
                self.spinning.last = ()
            self.waiting = [waiting for waiting in self.waiting if waiting != node]
            self._take_over(node)
            self._take_next()
        if self.world.now < LONGEST_WATCH_SECONDS or self.world.run.execution.node_id == node:
            last = self.world.now >= LONGEST_WATCH_SECONDS and not may_be_taken_over(self.world.run)
            if not last:
                self.world.after(5.0, lambda: self._declare_lost(node, outage))

    def _take_over(self, node: UUID) -> None:
        world, run = self.world, self.world.run
        if run.execution.node_id != node or run.execution.cleaned_at is not None:
            return
        if not may_be_taken_over(run):
            world.fail_unfinished(UNANSWERED)
            return
        taken = (m for m in world.messages if m.status is MessageStatus.DELIVERED or (m.status is MessageStatus.QUEUED and m.taken))
        in_flight = next(taken, None)
        outcome = takeover(run, in_flight=in_flight is not None)
        if in_flight is not None and not run.execution.restarting:
            world.stand(in_flight, MessageStatus.FAILED, LOST_MESSAGE)
        heard = (message for message in reversed(world.messages) if message.status is MessageStatus.ACKNOWLEDGED)
        asked = in_flight or next(heard, None)
        if outcome.asks_again and asked is not None:
            world.ask_again(asked)
        world.requests.void_open(SESSION_OVER)
        ending = {} if outcome.ending is None else {"ending": outcome.ending}
        world.overrule(**outcome.facts, **ending, epoch=run.execution.epoch + 1)
        world.wake()
        world.takeovers.append(outcome)

    def _come_back(self, node: UUID) -> None:
        """It goes on where it stood, finds out that it was silent, looks anew, and removes what it has lost."""
        self.up[node] = True
        self.lost.discard(node)
        for job in filter(None, (self.job, *self.thawed)):
            if job.node == node and job.frozen:
                job.frozen = False
                self._resume(job, 0.0)
        self.world.after(self.world.random.uniform(0.0, 1.0), lambda: self._take_up(node) if self.up[node] else None)

    def _let_go(self, node: UUID) -> None:
        execution = self.world.run.execution
        for sandbox in self.world.sandboxes.values():
            if sandbox.node == node and sandbox.epoch != execution.epoch:
                sandbox.alive = False
        if execution.node_id != node:
            self.world.folders.discard(node)

    def watch(self) -> None:
        """The watch of the node finds a sandbox that has died."""
        run, sandbox = self.world.run, self.world.sandbox()
        if sandbox is None or sandbox.alive or run.execution.node_id is None or not self.up[run.execution.node_id]:
            return
        if run.execution.ending is not None or run.status.terminal:
            return
        if run.execution.checked_out_at is not None and run.execution.session_ready_at is None:
            return  # whoever starts the agent sees it
        self.world.after(self.world.random.uniform(0.0, 1.0), lambda: self._conclude_unless_ending(run))

    def _conclude_unless_ending(self, run: TaskRun) -> None:
        execution = self.world.run.execution
        if execution.epoch == run.execution.epoch and self.world.may_end() and execution.sandbox == run.execution.sandbox:
            lost = Ending(status=RunStatus.FAILED, reason=EndReason.SANDBOX_LOST, message="It died.")
            self.world.wake(ending=settled_ending(self.world.run, self.world.inbox()) or lost)

    # Looking, deciding, acting

    def _decide(self, node: UUID) -> Action:
        room, may_claim = self.world.room(), self.world.may_claim(node)
        return self.decide(self.world.run, self.world.inbox(), self.world.clock(), DEADLINES, node, room=room, may_claim=may_claim)

    def _decide_again(self, node: UUID, run: TaskRun) -> Action:
        if self.world.run.execution.epoch != run.execution.epoch:
            raise TakenOverError
        return self._decide(node)

    def _reconcile(self, node: UUID) -> Steps:
        world = self.world
        while True:
            run, inbox = world.run, world.inbox()
            action = self._decide(node)
            world.trace.append((world.now, node, action))
            if isinstance(action, Nothing | Wait):
                until = action.until if isinstance(action, Wait) else None
                if world.run.execution.wake_at == run.execution.wake_at:
                    world.facts(wake_at=until)
                    return
                continue
            if isinstance(action, HandOver):
                self.nudge(action.node_id)
                return
            self._check(action, run)
            self.spinning.note(node, action, run, inbox)
            if not (yield from self._act(node, run, action)):
                self.spinning.last = ()
                return

    def _check(self, action: Action, run: TaskRun) -> None:
        """Nothing more is done for a run that is over."""
        begun = isinstance(action, Claim | Prepare | StartSession | Deliver)
        if isinstance(action, Claim | Prepare) and run.execution.checkpoint is not None and run.execution.session_ready_at is None:
            return  # of a machine that is lost, brought back to be landed
        over = run.status.terminal or run.execution.ending is not None or run.execution.cleaned_at is not None
        assert not (begun and over), f"{action} for a run that is over"

    def _act(self, node: UUID, run: TaskRun, action: Action) -> Generator[float, None, bool]:
        steps = self._steps(node, run, action)
        try:
            if isinstance(action, _ONWARD):
                yield from self._race(node, run, steps)
            else:
                yield from steps
        except TakenOverError:
            return False
        except FaultError as fault:
            self.spinning.last = ()
            try:
                return self._fail(node, run, action, fault)
            except TakenOverError:
                return False
        return True

    def _race(self, node: UUID, run: TaskRun, steps: Steps) -> Steps:
        """Go through an action, but give it up as soon as the run turns to its end."""
        for pause in steps:
            until = self.world.now + abs(pause)
            while self.world.now < until:
                assert self.running is not None
                self.running.racing = pause >= 0  # a negative pause is of a piece that is always finished
                yield until - self.world.now
                assert self.running is not None
                self.running.racing = False
                if pause >= 0 and self.world.now < until and not self._still_wanted(node, run):
                    steps.close()
                    return

    def _still_wanted(self, node: UUID, run: TaskRun) -> bool:
        if self.world.run.execution.epoch != run.execution.epoch:
            return False
        return isinstance(self._decide(node), (*_ONWARD, Wait))

    def _trouble(self, *reasons: EndReason) -> None:
        if self.world.random.random() < self.trouble:
            raise FaultError(self.world.random.choice(reasons), passing=self.world.random.random() < 0.5)

    def _pause(self, most: float) -> float:
        return self.world.random.uniform(0.0, most) * self.slow

    def _record(self, run: TaskRun, **facts: Any) -> None:
        if self.world.run.execution.epoch != run.execution.epoch:
            raise TakenOverError
        self.world.facts(**facts)

    def _fail(self, node: UUID, run: TaskRun, action: Action, fault: FaultError) -> bool:
        match action:
            case Prepare() | StartSession() if fault.passing and self._try_again(run):
                return True
            case Prepare() if run.status.terminal or run.execution.ending is not None:
                self._give_work_up(run)
            case Prepare() | StartSession() | Deliver():
                self._conclude_failed(run, Ending(status=RunStatus.FAILED, reason=fault.reason, message="It failed."))
            case Land():
                self._keep_workspace(node, run)
            case _:
                self._record(run, wake_at=self.world.clock() + timedelta(seconds=5))
                return False
        return True

    def _try_again(self, run: TaskRun) -> bool:
        """Whether what has failed is tried again, after a pause and with a new sandbox where the agent server did not do its part."""
        attempts = run.execution.prepare_attempts + 1
        pause = DEADLINES.pause_before_retry(attempts)
        if pause is None:
            return False
        gone: dict[str, Any] = {}
        if run.execution.sandbox is not None and run.execution.checked_out_at is not None:
            self.world.sandboxes[run.execution.sandbox.id].alive = False
            gone = {"sandbox": None}
        self._record(run, prepare_attempts=attempts, retry_at=self.world.clock() + pause, **gone)
        return True

    def _conclude_failed(self, run: TaskRun, ending: Ending) -> None:
        if self.world.run.execution.epoch != run.execution.epoch:
            raise TakenOverError
        if self.world.may_end():
            self.world.facts(ending=settled_ending(self.world.run, self.world.inbox()) or ending)

    def _give_work_up(self, run: TaskRun) -> None:
        ending = Ending(status=RunStatus.FAILED, reason=EndReason.SANDBOX_FAILED, message=KEPT)
        self._record(run, landed_at=self.world.clock(), ending=ending)

    def _keep_workspace(self, node: UUID, run: TaskRun) -> None:
        now = self.world.clock()
        ending = Ending(status=RunStatus.FAILED, reason=EndReason.SANDBOX_FAILED, message=KEPT)
        self._record(run, landed_at=now, cleaned_at=now, ending=ending)
        self.world.fail_unfinished(UNANSWERED)
        self.world.folders.discard(node)  # kept on purpose, and said so

    def _steps(self, node: UUID, run: TaskRun, action: Action) -> Steps:
        kinds: dict[type[Action], Callable[[UUID, TaskRun, Any], Steps]] = {
            Claim: self._claim,
            Hold: self._hold,
            LeaveQueue: self._leave_queue,
            Prepare: self._prepare,
            StartSession: self._start_session,
            Deliver: self._deliver,
            Checkpoint: self._checkpoint,
            GiveAnswer: self._give_answer,
            ExpireRequests: self._expire_requests,
            StopTurn: self._stop_turn,
            Conclude: self._conclude,
            StopSandbox: self._stop_sandbox,
            Land: self._land,
            End: self._end,
            CleanUp: self._clean_up,
            BeginAgain: self._begin_again,
        }
        return kinds[type(action)](node, run, action)

    def _claim(self, node: UUID, run: TaskRun, action: Claim) -> Steps:
        assert self.world.may_claim(node) or run.execution.claimed_at is not None, "a run is put onto a disk that is full"
        self.world.folders.discard(node)  # what could not be collected is moved aside
        self.world.work[node] = 0
        yield self._pause(0.1)
        execution = self.world.run.execution
        ends = self.world.run.status.terminal or execution.ending is not None
        if execution.node_id is not None or (ends and execution.claimed_at is None):
            return
        if self.world.room():
            claimed_at = execution.claimed_at or self.world.clock()
            self.world.facts(node_id=node, epoch=execution.epoch + 1, claimed_at=claimed_at, place=None)
        elif execution.place is None:
            self.world.facts(place=self.world.ahead + 1)

        self.world.stop_waiting()

    def _hold(self, node: UUID, run: TaskRun, action: Hold) -> Steps:
        yield self._pause(0.1)
        if isinstance(self._decide_again(node, run), Hold):
            self.world.row(state={**self.world.run.state, WAITING_KEY: DISK_FULL})

    def _leave_queue(self, node: UUID, run: TaskRun, action: LeaveQueue) -> Steps:
        yield self._pause(0.1)
        self.world.facts(place=None)

    def _prepare(self, node: UUID, run: TaskRun, action: Prepare) -> Steps:
        """Both side by side; which is ready first is a matter of luck."""
        self.world.folders.add(node)
        parts = [self._make_sandbox(node, run)] if action.sandbox else []
        parts += [self._check_out(node, run)] if action.workspace else []
        self.world.random.shuffle(parts)
        for part in parts:
            yield from part

    def _make_sandbox(self, node: UUID, run: TaskRun) -> Steps:
        yield self._pause(2.0)
        self._trouble(EndReason.SANDBOX_FAILED, EndReason.START_FAILED)
        sandbox = self.world.new_sandbox(run.execution.epoch, node)
        self.world.orphans.add(sandbox.handle.id)
        yield -self._pause(0.2)
        self.world.orphans.discard(sandbox.handle.id)
        other = self.world.sandbox()
        try:
            self._record(run, sandbox=sandbox.handle, sandbox_made_at=self.world.clock())
            if other is not None:  # a job of this node that stood still meanwhile has made one, too: the sweep ends what no run claims
                self.world.after(self.world.random.uniform(10.0, 70.0), lambda: self._let_die(other))
        except TakenOverError:
            sandbox.alive = False
            raise

    def _let_die(self, sandbox: Sandbox) -> None:
        if self.world.sandbox() is not sandbox:
            sandbox.alive = False

    def _check_out(self, node: UUID, run: TaskRun) -> Steps:
        yield self._pause(20.0)
        self._trouble(EndReason.START_FAILED)
        checkpoint, facts = self.world.run.execution.checkpoint, {}
        if checkpoint is not None:
            yield self._pause(5.0)
            if self.world.random.random() < self.trouble:  # it does not apply
                if run.execution.ending is not None or run.status.terminal:
                    raise FaultError(EndReason.START_FAILED)  # it was only to be landed
                if lives_by_its_checkpoint(run):
                    self._record(run, checkpoint=None)
                    raise FaultError(EndReason.SANDBOX_LOST)
                checkpoint, facts = None, {"checkpoint": None}
        self._record(run, checked_out_at=self.world.clock(), base_commit=BASE if self.world.repository else None, **facts)
        self.world.work[node] = 0 if checkpoint is None else checkpoint["work"]
        self.world.landed[node] = 0

    def _start_session(self, node: UUID, run: TaskRun, action: StartSession) -> Steps:
        sandbox = self.world.sandbox()
        assert sandbox is not None
        yield self._pause(3.0)
        if not sandbox.alive:
            raise FaultError(EndReason.SANDBOX_FAILED)
        self._trouble(EndReason.START_FAILED)
        sandbox.session = True
        yield self._pause(0.2)
        self._write_session_down(run)

    def _write_session_down(self, run: TaskRun) -> None:
        fresh = self.world.run
        if fresh.execution.epoch != run.execution.epoch:
            raise TakenOverError
        ours = fresh.environment is Environment.CLOUD and not fresh.execution.restarting and not fresh.status.terminal
        if ours:
            self.world.row(status=RunStatus.IN_PROGRESS)
        self.world.facts(session_ready_at=self.world.clock(), active_at=self.world.clock())

    def _deliver(self, node: UUID, run: TaskRun, action: Deliver) -> Steps:
        kept = run.execution.turn_ended_at in {None, run.execution.checkpointed_turn}
        assert kept or not self.world.repository, "a message goes to an agent whose last turn nobody has tried to checkpoint"
        execution = self.world.run.execution
        if execution.restarting or execution.epoch != run.execution.epoch:
            return
        queued = [message for message in self.world.messages if message.status is MessageStatus.QUEUED]
        message = next((message for message in queued if message.taken), next(iter(queued), None))
        if message is None:
            return
        message.taken = True
        began, sandbox = self.world.clock(), self.world.sandboxes[run.execution.sandbox.id] if run.execution.sandbox else None
        yield self._pause(0.5)
        if sandbox is None or not (sandbox.alive and sandbox.agent_alive):
            raise FaultError(EndReason.AGENT_LOST)
        self.world.take_in(sandbox, message)
        yield self._pause(0.5)
        self._trouble(EndReason.AGENT_LOST)
        self._record(run, turn_started_at=began, active_at=began)
        if message.status is MessageStatus.QUEUED:
            self.world.stand(message, MessageStatus.DELIVERED)

    def _give_answer(self, node: UUID, run: TaskRun, action: GiveAnswer) -> Steps:
        request = self.world.requests.first_undelivered()
        if request is None:
            return
        sandbox = self.world.sandboxes[run.execution.sandbox.id] if run.execution.sandbox else None
        yield self._pause(0.5)
        if sandbox is None or not sandbox.alive:
            raise FaultError(EndReason.AGENT_LOST)
        taken = self.world.requests.take_answer(sandbox, request)
        yield self._pause(0.5)
        self._trouble(EndReason.AGENT_LOST)
        self._fenced(run)
        self.world.requests.settle(request, taken=taken)

    def _expire_requests(self, node: UUID, run: TaskRun, action: ExpireRequests) -> Steps:
        yield self._pause(0.1)
        self._fenced(run)
        self.world.requests.expire()

    def _fenced(self, run: TaskRun) -> None:
        if self.world.run.execution.epoch != run.execution.epoch:
            raise TakenOverError

    def _checkpoint(self, node: UUID, run: TaskRun, action: Checkpoint) -> Steps:
        """What an agent does meanwhile may be in it or not. Whatever comes of it, it was tried."""
        assert run.execution.base_commit is not None, "there is nothing to checkpoint"
        began = self.world.clock()
        yield self._pause(1.0)
        work = self.world.work[node]
        yield self._pause(1.0)
        failed = self.world.random.random() < self.trouble
        unchanged = failed or self.world.run.execution.checkpoint == {"work": work}
        facts: dict[str, Any] = {"checkpoint_failed": failed} | ({} if unchanged else {"checkpoint": {"work": work}})
        at_rest = run.execution.sandbox is None
        assert not at_rest or work == self.world.work[node], "an agent works on files that are at rest"
        self._record(run, checkpointed_at=began, checkpointed_turn=run.execution.turn_ended_at, checkpointed_at_rest=at_rest, **facts)

    def _is_saved(self, node: UUID) -> bool:
        checkpoint = self.world.run.execution.checkpoint
        return not self.world.repository or (checkpoint is not None and checkpoint["work"] == self.world.work[node])

    def _stop_turn(self, node: UUID, run: TaskRun, action: StopTurn) -> Steps:
        yield self._pause(0.1)
        decided = self._decide_again(node, run)
        if not isinstance(decided, StopTurn):
            return
        self._record(run, stopping=decided.ending, stop_by=decided.by)
        yield self._pause(0.5)
        sandbox = self.world.sandbox()
        if sandbox is not None and sandbox.alive and sandbox.agent_alive:
            self.world.ask_to_stop(sandbox)

    def _conclude(self, node: UUID, run: TaskRun, action: Conclude) -> Steps:
        yield self._pause(0.1)
        decided = self._decide_again(node, run)
        if isinstance(decided, Conclude):
            self._record(run, ending=decided.ending)

    def _stop_sandbox(self, node: UUID, run: TaskRun, action: StopSandbox) -> Steps:
        assert run.execution.sandbox is not None
        sandbox = self.world.sandboxes[run.execution.sandbox.id]
        if sandbox.alive:
            yield self._pause(2.0)
            self.world.close_agent(sandbox, "The session was closed.")
            yield self._pause(3.0)
            self.world.flush(sandbox)
        self._trouble(EndReason.SANDBOX_FAILED)
        sandbox.alive = False
        yield self._pause(0.5)
        self._record(run, sandbox=None)
        self.world.requests.void_open(SESSION_OVER)
        if self.world.run.status.terminal:
            self.world.fail_unfinished(UNANSWERED)

    def _land(self, node: UUID, run: TaskRun, action: Land) -> Steps:
        brought_back = run.execution.session_ready_at is None
        assert run.execution.checkpointed_at_rest or brought_back or not self.world.repository, (
            "work is landed that nobody has tried to checkpoint"
        )
        yield self._pause(20.0)
        self._trouble(EndReason.SANDBOX_FAILED)
        pushed = self.world.random.random() >= self.trouble
        assert pushed or brought_back or run.execution.checkpoint_failed or self._is_saved(node), "work is left on one machine alone"
        self._record(run, landed_at=self.world.clock(), **({"checkpoint": None} if pushed or run.execution.checkpoint_failed else {}))
        self.world.landed[node] = self.world.result = self.world.work[node]

    def _end(self, node: UUID, run: TaskRun, action: End) -> Steps:
        yield self._pause(1.0)
        if self._decide_again(node, run) == action:
            self.world.end(action.ending)

    def _clean_up(self, node: UUID, run: TaskRun, action: CleanUp) -> Steps:
        yield self._pause(5.0)
        self._trouble(EndReason.SANDBOX_FAILED)
        self._check_that_nothing_is_lost(node)
        self.world.folders.discard(node)
        yield self._pause(0.1)
        if isinstance(self._decide_again(node, run), CleanUp):
            self.world.fail_unfinished(UNANSWERED)
            self._record(run, cleaned_at=self.world.clock())

    def _check_that_nothing_is_lost(self, node: UUID) -> None:
        """Nobody removes a workspace whose work lies nowhere else."""
        kept = node not in self.world.folders or self._is_saved(node) or self.world.work[node] <= self.world.landed[node]
        assert kept, "a workspace is removed whose work lies nowhere else"

    def _begin_again(self, node: UUID, run: TaskRun, action: BeginAgain) -> Steps:
        yield self._pause(5.0)
        self._trouble(EndReason.SANDBOX_FAILED)
        self._check_that_nothing_is_lost(node)
        self.world.folders.discard(node)
        self._record(run, **FORGOTTEN)
