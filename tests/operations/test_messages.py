"""Messages that are moved and taken back while a worker takes them."""

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from hedgerow.db import messages as rows
from hedgerow.db import runs
from hedgerow.domain.commands import Command, CommandMethod
from hedgerow.domain.errors import ConflictError, NotFoundError, RefusedError
from hedgerow.domain.messages import Message
from hedgerow.domain.runs import TaskRun
from hedgerow.operations import commands, messages
from hedgerow.operations import inbox as inboxes
from hedgerow.operations.pages import Paging
from tests.operations.conftest import Desk


class Inbox:
    """The inbox of a run, and what a worker has taken out of it."""

    def __init__(self, desk: Desk, run: TaskRun) -> None:
        self.desk, self.run = desk, run
        self.delivered: list[UUID] = []

    async def say(self, text: str) -> None:
        command = Command(method=CommandMethod.USER_MESSAGE, params={"content": text})
        await commands.send_command(self.desk.backends, self.desk.caller, self.desk.project, self.run.task_id, self.run.id, command)

    async def all(self) -> list[Message]:
        found = await messages.list_messages(
            self.desk.backends, self.desk.caller, self.desk.project, self.run.task_id, self.run.id, Paging(limit=1000, offset=0)
        )
        return found.items

    async def delete(self, message_id: UUID) -> None:
        await messages.delete_message(self.desk.backends, self.desk.caller, self.desk.project, self.run.task_id, self.run.id, message_id)

    async def move(self, message_id: UUID, position: int) -> Message:
        return await messages.move_message(
            self.desk.backends, self.desk.caller, self.desk.project, self.run.task_id, self.run.id, message_id, position
        )

    async def promote(self, message_id: UUID) -> Message:
        return await messages.promote_message(
            self.desk.backends, self.desk.caller, self.desk.project, self.run.task_id, self.run.id, message_id
        )

    async def demote(self, message_id: UUID) -> Message:
        return await messages.demote_message(
            self.desk.backends, self.desk.caller, self.desk.project, self.run.task_id, self.run.id, message_id
        )

    async def take(self) -> Message | None:
        """What the lifecycle does before it hands a message over."""
        async with self.desk.backends.database.transaction() as tx:
            await runs.load_for_update(tx, self.run.id)
            return await rows.take(tx, self.run.id, self.desk.backends.clock.now())

    async def deliver(self) -> bool:
        """Take the next message, hand it over, and note that."""
        message = await self.take()
        if message is None:
            return False
        self.delivered.append(message.id)
        async with self.desk.backends.database.transaction() as tx:
            await runs.load_for_update(tx, self.run.id)
            await inboxes.note_delivery(self.desk.backends, tx, self.run.id, message.id)
            await inboxes.finish(self.desk.backends, tx, self.run.id, message.id)
        return True


async def new_inbox(desk: Desk, *texts: str) -> Inbox:
    """A started run with these messages, and no others."""
    inbox = Inbox(desk, await desk.started_run(pending_user_message=texts[0]))
    for text in texts[1:]:
        await inbox.say(text)
    return inbox


async def test_what_was_taken_back_is_never_delivered_and_what_was_refused_is(desk: Desk) -> None:
    inbox = await new_inbox(desk, *(f"m{n}" for n in range(12)))
    known = await inbox.all()

    async def take_back(message: Message) -> bool:
        try:
            await inbox.delete(message.id)
        except ConflictError:
            return False
        return True

    async def consume() -> None:
        while await inbox.deliver():
            pass

    outcomes, _ = await asyncio.gather(asyncio.gather(*(take_back(message) for message in reversed(known))), consume())

    gone = {message.id for message, taken_back in zip(reversed(known), outcomes, strict=True) if taken_back}
    assert set(inbox.delivered) == {message.id for message in known} - gone
    assert len(inbox.delivered) == len(set(inbox.delivered))


async def test_a_message_whose_delivery_was_cut_off_goes_first(desk: Desk) -> None:
    inbox = await new_inbox(desk, "taken", "later")
    taken = await inbox.take()
    later = (await inbox.all())[1]
    await inbox.move(later.id, 1)
    again = await inbox.take()
    assert taken is not None
    assert again == taken


async def test_moves_at_once_lose_no_message_and_no_place(desk: Desk) -> None:
    inbox = await new_inbox(desk, *"abcdef")
    known = await inbox.all()

    await asyncio.gather(*(inbox.move(message.id, place) for place in (1, 4, 6) for message in known))

    after = await inbox.all()
    assert [message.position for message in after] == list(range(1, 7))
    assert {message.id for message in after} == {message.id for message in known}


class Machine(RuleBasedStateMachine):
    """An inbox beside the plain list that it should be like."""

    desk: Desk
    loop: asyncio.AbstractEventLoop

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The outcome of work on the loop of the test, from the thread of the machine."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=30)

    def __init__(self) -> None:
        super().__init__()
        self.inbox: Inbox = self.do(new_inbox(self.desk, "first"))
        self.slots = [message.position for message in self.do(self.inbox.all())]
        self.waiting = [message.id for message in self.do(self.inbox.all())]
        self.taken: list[UUID] = []

    def pick(self, index: int) -> UUID | None:
        everything = self.taken + self.waiting
        return everything[index % len(everything)] if everything else None

    @rule()
    def say(self) -> None:
        self.do(self.inbox.say("more"))
        newest = self.do(self.inbox.all())[-1]
        self.waiting.append(newest.id)
        self.slots.append(newest.position)

    @rule(index=st.integers(0, 20), position=st.integers(1, 12))
    def move(self, index: int, position: int) -> None:
        message_id = self.pick(index)
        if message_id is None:
            return
        if message_id in self.taken:
            self.refused(self.inbox.move(message_id, position))
            return
        moved = self.do(self.inbox.move(message_id, position))
        self.waiting.remove(message_id)
        place = next((n for n, slot in enumerate(self.slots) if slot >= position), len(self.slots) - 1)
        self.waiting.insert(place, message_id)
        assert moved.position == self.slots[place]

    @rule(index=st.integers(0, 20))
    def demote(self, index: int) -> None:
        message_id = self.pick(index)
        if message_id is not None and message_id in self.waiting:
            self.do(self.inbox.demote(message_id))
            self.waiting.remove(message_id)
            self.waiting.append(message_id)

    @rule(index=st.integers(0, 20))
    def promote(self, index: int) -> None:
        message_id = self.pick(index)
        if message_id is not None and message_id in self.waiting:
            self.do(self.inbox.promote(message_id))
            self.waiting.remove(message_id)
            self.waiting.insert(0, message_id)

    @rule(index=st.integers(0, 20))
    def delete(self, index: int) -> None:
        message_id = self.pick(index)
        if message_id is None:
            return
        if message_id in self.taken:
            self.refused(self.inbox.delete(message_id))
            return
        self.do(self.inbox.delete(message_id))
        self.slots.remove(self.slots[self.waiting.index(message_id)])
        self.waiting.remove(message_id)

    @rule()
    def deliver(self) -> None:
        assert self.do(self.inbox.deliver()) == bool(self.waiting)
        if self.waiting:
            self.taken.append(self.waiting.pop(0))
            self.slots.pop(0)

    @rule(index=st.integers(0, 20), how=st.sampled_from(["move", "demote", "delete"]), position=st.integers(1, 12))
    def change_while_the_worker_takes(self, index: int, how: str, position: int) -> None:
        """Both at once: it is as if one of them had been first, and whoever comes too late is refused with a conflict."""
        if not self.waiting:
            return
        message_id = self.waiting[index % len(self.waiting)]
        works = {"move": lambda: self.inbox.move(message_id, position), "demote": lambda: self.inbox.demote(message_id)}
        work = works.get(how, lambda: self.inbox.delete(message_id))
        refusal, _ = self.do(_both(work(), self.inbox.deliver()))
        before = list(zip(self.waiting, self.slots, strict=True))
        changed_first = changed(before, message_id, how, position)
        outcomes = [(False, changed_first[:1], changed_first[1:])]
        outcomes.append((True, before[:1], before[1:]) if before[0][0] == message_id else (False, before[:1], []))
        if not outcomes[1][0]:
            outcomes[1] = (False, before[:1], changed(before[1:], message_id, how, position))
        found = [(message.id, message.position) for message in self.do(self.inbox.all()) if message.waiting]
        delivered = self.inbox.delivered[len(self.taken) :]
        assert not isinstance(refusal, Exception) or isinstance(refusal, ConflictError)
        seen = (isinstance(refusal, ConflictError), delivered, found)
        assert seen in [(conflict, [taken_id for taken_id, _ in taken], left) for conflict, taken, left in outcomes]
        self.taken += delivered
        self.waiting, self.slots = [message_id for message_id, _ in found], [slot for _, slot in found]

    def refused(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            self.do(work)
        except (ConflictError, NotFoundError):
            return
        raise AssertionError("a message that was taken was changed")

    @invariant()
    def it_is_the_list(self) -> None:
        found = self.do(self.inbox.all())
        assert [message.id for message in found if message.waiting] == self.waiting
        assert [message.position for message in found if message.waiting] == self.slots
        assert self.inbox.delivered == self.taken


def changed(before: list[tuple[UUID, int]], message_id: UUID, how: str, position: int) -> list[tuple[UUID, int]]:
    """The messages that wait, with their places, once one of them was changed."""
    slots = [slot for _, slot in before]
    names = [name for name, _ in before]
    if how == "delete":
        return [(name, slot) for name, slot in before if name != message_id]
    names.remove(message_id)
    last = len(slots) - 1
    place = last if how == "demote" else next((n for n, slot in enumerate(slots) if slot >= position), last)
    names.insert(place, message_id)
    return list(zip(names, slots, strict=True))


async def _both(one: Coroutine[Any, Any, Any], other: Coroutine[Any, Any, Any]) -> list[Any]:
    return list(await asyncio.gather(one, other, return_exceptions=True))


async def test_queued_messages_are_a_list_whatever_is_done_to_them_beside_a_racing_consumer(desk: Desk) -> None:
    """Whatever is done in whatever order, the inbox is what a plain list would be, and the worker takes its first."""
    quick = settings(
        max_examples=10, stateful_step_count=15, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    machine = type("Bound", (Machine,), {"desk": desk, "loop": asyncio.get_running_loop()})
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=quick)


async def test_promotion_is_refused_while_the_agent_works_and_the_message_keeps_its_place(desk: Desk) -> None:
    inbox = await new_inbox(desk, "turn", "a", "b")
    await inbox.take()
    last = (await inbox.all())[-1]
    with pytest.raises(RefusedError, match="turn"):
        await inbox.promote(last.id)
    assert (await inbox.all())[-1] == last
