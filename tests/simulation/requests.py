"""The permission requests of the run: agents that ask, people who answer, and what the server keeps of both."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from hedgerow.checker.records import Answered, Heard, Kind, Sent
from hedgerow.domain.permission_requests import OVERTAKEN, RUN_OVER, SESSION_OVER, UNHEARD, WITHDRAWN, RequestState
from hedgerow.domain.runs import Environment, RunMode

if TYPE_CHECKING:
    from tests.simulation.world import Sandbox, World

PERMISSION_TIMEOUT = timedelta(seconds=30)
OPTIONS = ("yes", "no")
_OPEN = (RequestState.WAITING, RequestState.ANSWERED, RequestState.EXPIRED)


@dataclass(slots=True, eq=False)
class Request:
    """What an agent asked leave for."""

    id: str
    deadline: datetime | None
    state: RequestState = RequestState.WAITING
    option: str | None = None
    answered_at: datetime | None = None
    delivered: bool = False

    @property
    def open(self) -> bool:
        """Whether it waits, or its answer is on its way."""
        return self.state in _OPEN and not self.delivered


class Requests:
    """The requests of the run. Each method that changes one is a transaction of the real thing, or a part of one."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.all: dict[str, Request] = {}

    # What is kept

    def facts(self) -> dict[str, Any]:
        """What the inbox says of them."""
        if not self.all:
            return {}
        waiting = [request for request in self.all.values() if request.state is RequestState.WAITING]
        answers = sum(request.open for request in self.all.values()) - len(waiting)
        deadlines = [request.deadline for request in waiting if request.deadline is not None]
        return {"asked": len(waiting), "answers": answers, "answer_by": min(deadlines, default=None)}

    def first_undelivered(self) -> Request | None:
        """The one whose answer is to be handed over next."""
        answered = [request for request in self.all.values() if request.open and request.answered_at is not None]
        return min(answered, key=lambda request: (request.answered_at, request.id), default=None)

    def expire(self) -> None:
        """Reject what nobody has answered in time."""
        for request in self.all.values():
            if request.state is RequestState.WAITING and request.deadline is not None and request.deadline <= self._world.clock():
                self._answer(request, "no", RequestState.EXPIRED)

    def settle(self, request: Request, *, taken: bool) -> None:
        """Note what came of handing an answer over, unless that is known already."""
        if not request.open:
            return
        if taken:
            self._note_delivery(request)
        else:
            self._void(request, SESSION_OVER)

    def void_open(self, reason: str) -> None:
        """Nothing of it waits any longer."""
        for request in self.all.values():
            if request.open:
                self._void(request, reason)

    def _void(self, request: Request, reason: str) -> None:
        why = reason if request.state is RequestState.WAITING or reason == OVERTAKEN else UNHEARD
        request.state = RequestState.VOID
        self._tell("void", request, f',"reason":"{why}"')

    def _answer(self, request: Request, option: str, state: RequestState = RequestState.ANSWERED) -> None:
        request.state, request.option, request.answered_at = state, option, self._world.clock()
        self._tell("answered", request, f',"optionId":"{option}"')

    def _note_delivery(self, request: Request) -> None:
        request.delivered = True
        self._tell("delivered", request, f',"optionId":"{request.option}"')

    def _tell(self, what: str, request: Request, more: str) -> None:
        params = f'{{"requestId":"{request.id}"{more}}}'
        self._world.tell(f'{{"type":"permission_{what}","notification":{{"params":{params}}}}}')

    # What agent servers report

    def _record_asked(self, sandbox: Sandbox, name: str) -> None:
        world = self._world
        if not world.accepts(sandbox, f"request {name}"):
            return
        world.tell(f'{{"type":"permission_request","requestId":"{name}"}}')
        background = world.run.mode is RunMode.BACKGROUND
        self.all[name] = Request(name, world.clock() + PERMISSION_TIMEOUT if background else None)
        if world.run.status.terminal or world.run.execution.ending is not None:
            self.void_open(RUN_OVER)
        for person in range(world.random.choice([0, 1, 2])):
            option = world.random.choice(OPTIONS)
            world.after(world.random.uniform(0.0, 40.0), lambda who=f"person-{person}", option=option: self.answer(who, name, option))  # type: ignore[misc]
        world.wake(active_at=world.clock())

    def _record_resolved(self, sandbox: Sandbox, name: str, option: str | None, reason: str | None) -> None:
        world, request = self._world, self.all.get(name)
        if not world.accepts(sandbox, f"result of {name}") or request is None or not request.open:
            return
        if reason is not None:
            self._void(request, reason)
        elif request.option != option:
            self._void(request, OVERTAKEN)
        else:
            self._note_delivery(request)
        world.wake(active_at=world.clock())

    # What people do

    def answer(self, client: str, name: str, option: str) -> None:
        """The command permission_response: the first valid answer counts, while the run is not about to leave its agent."""
        world, request = self._world, self.all[name]
        execution = world.run.execution
        leaving = execution.ending is not None or execution.restarting or world.run.environment is Environment.LOCAL
        accepted = request.state is RequestState.WAITING and not leaving
        call = world.new_call()
        world.history.append(Sent(at=world.now, client=client, run=world.name, call=call, kind=Kind.ANSWER, items=(name, option)))
        if accepted:
            self._answer(request, option)
            world.wake(active_at=world.clock())
        world.history.append(Answered(at=world.now, client=client, call=call, accepted=accepted))

    # What agents do

    def ask(self) -> None:
        """The agent asks leave for something, in the middle of its turn."""
        world, sandbox = self._world, self._world.sandbox()
        if sandbox is not None and sandbox.alive and sandbox.agent_alive and sandbox.playing is not None:
            name = world.new_call()
            sandbox.asking.add(name)
            world.push(sandbox, lambda: self._record_asked(sandbox, name))

    def take_answer(self, sandbox: Sandbox, request: Request) -> bool:
        """The agent server gets an answer, which it takes once; whether the agent has it."""
        world, option = self._world, request.option
        assert option is not None
        if sandbox.answers.get(request.id) == option:
            return True
        if request.id not in sandbox.asking:
            return False
        sandbox.asking.discard(request.id)
        sandbox.answers[request.id] = option
        world.history.append(Heard(at=world.now, client="agent", run=world.name, kind=Kind.ANSWER, item=request.id, option=option))
        world.push(sandbox, lambda: self._record_resolved(sandbox, request.id, option, None))
        if not sandbox.asking:
            world.go_on(sandbox)
        return True

    def withdraw(self, sandbox: Sandbox, reason: str = WITHDRAWN) -> None:
        """The agent waits no more for what it asked."""
        for name in sorted(sandbox.asking):
            world = self._world
            world.push(sandbox, lambda name=name: self._record_resolved(sandbox, name, None, reason))  # type: ignore[misc]
        sandbox.asking.clear()
