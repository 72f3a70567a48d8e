import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from hedgerow.db import idempotency as rows
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.errors import ConflictError, InvalidError
from hedgerow.domain.tasks import TaskFilters
from hedgerow.operations import idempotency, tasks
from hedgerow.operations.backends import Backends
from hedgerow.operations.pages import Paging
from hedgerow.operations.tasks import TaskDraft
from tests.operations.conftest import Desk, new_desk


async def create(desk: Desk, backends: Backends, status: int = 201) -> tuple[int, bytes]:
    """A task, made the way a door makes it."""
    task = await tasks.create_task(backends, desk.caller, desk.project, TaskDraft(title="x"))
    return status, str(task.id).encode()


async def once(
    desk: Desk, key: str = "k", body: bytes = b"body", work: Callable[[Backends], Awaitable[tuple[int, bytes]]] | None = None
) -> tuple[int, bytes, bool]:
    """A request under a key."""
    return await idempotency.once(
        desk.backends,
        desk.caller,
        method="POST",
        path="/tasks/",
        key=key,
        body_hash=body,
        work=work or (lambda backends: create(desk, backends)),
    )


async def task_count(desk: Desk) -> int:
    """How many tasks the project has."""
    return (await tasks.list_tasks(desk.backends, desk.caller, desk.project, TaskFilters(), Paging())).count


async def test_the_same_key_gives_the_same_answer_and_does_nothing_again(desk: Desk) -> None:
    first = await once(desk)

    assert await once(desk) == (first[0], first[1], True)
    assert (first[2], await task_count(desk)) == (False, 1)
    with pytest.raises(ConflictError) as conflict:
        await once(desk, body=b"other")
    assert conflict.value.detail_code == "idempotency_conflict"


async def test_whoever_comes_meanwhile_waits_for_the_first(desk: Desk) -> None:
    answers = await asyncio.gather(*(once(desk) for _ in range(6)))

    assert len({body for _, body, _ in answers}) == 1
    assert sorted(replayed for _, _, replayed in answers) == [False] + [True] * 5
    assert await task_count(desk) == 1


async def test_keys_belong_to_their_caller(desk: Desk) -> None:
    other = await new_desk(desk.backends)

    assert (await once(desk))[1] != (await once(other))[1]


async def test_a_failure_leaves_the_key_free_and_no_trace(desk: Desk) -> None:
    async def fail(backends: Backends) -> tuple[int, bytes]:
        await create(desk, backends)
        raise InvalidError("no")

    with pytest.raises(InvalidError):
        await once(desk, work=fail)
    assert await task_count(desk) == 0
    assert not (await once(desk))[2]


async def test_an_answer_that_is_no_success_is_not_kept(desk: Desk) -> None:
    await once(desk, work=lambda backends: create(desk, backends, status=400))

    assert not (await once(desk))[2]


async def test_a_key_is_free_again_after_a_day(desk: Desk) -> None:
    clock = FixedClock(datetime.now(UTC))
    later = replace(desk, backends=replace(desk.backends, clock=clock))
    await once(later)

    clock.advance(timedelta(hours=25))

    assert not (await once(later, body=b"other"))[2]


async def test_wake_ups_go_out_once_the_answer_is_kept(desk: Desk) -> None:
    run = await desk.run()
    heard: list[bool] = []

    async def work(backends: Backends) -> tuple[int, bytes]:
        async with backends.database.transaction() as tx:

            async def hear() -> None:
                heard.append((await once(desk, work=work))[2])

            tx.after_commit(hear)
        return 200, str(run.id).encode()

    await once(desk, work=work)

    assert heard == [True]


async def once_held(desk: Desk, work: Callable[[Backends], Awaitable[tuple[int, bytes]]], body: bytes = b"body") -> tuple[int, bytes, bool]:
    """A request under a key, whose work takes its time."""
    return await idempotency.once_held(desk.backends, desk.caller, method="POST", path="/command/", key="k", body_hash=body, work=work)


async def test_work_that_takes_its_time_holds_no_connection(desk: Desk) -> None:
    """As many calls as the pool has connections are under way, and there is still one for whoever wants to do something."""
    started, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def work(_backends: Backends) -> tuple[int, bytes]:
        started.release()
        await go_on.wait()
        return 200, b"{}"

    calls = [
        asyncio.create_task(
            idempotency.once_held(desk.backends, desk.caller, method="POST", path=f"/{n}/", key="k", body_hash=b"", work=work)
        )
        for n in range(20)
    ]
    async with asyncio.timeout(20):
        for _ in calls:
            await started.acquire()
        assert await task_count(desk) == 0
        go_on.set()
        assert set(await asyncio.gather(*calls)) == {(200, b"{}", False)}


async def test_a_second_call_awaits_the_answer_of_the_first_and_another_body_does_not(desk: Desk) -> None:
    started, go_on, done = asyncio.Event(), asyncio.Event(), 0

    async def work(_backends: Backends) -> tuple[int, bytes]:
        nonlocal done
        done += 1
        started.set()
        await go_on.wait()
        return 200, b"answer"

    first = asyncio.create_task(once_held(desk, work))
    await started.wait()
    second = asyncio.create_task(once_held(desk, work))
    with pytest.raises(ConflictError):
        await once_held(desk, work, body=b"other")
    assert not second.done()
    go_on.set()
    assert (await first, await second, done) == ((200, b"answer", False), (200, b"answer", True), 1)
    assert await once_held(desk, work) == (200, b"answer", True)


@pytest.mark.parametrize("status", [502, 400])
async def test_an_answer_of_held_work_that_is_no_success_frees_the_key(desk: Desk, status: int) -> None:
    async def work(_backends: Backends) -> tuple[int, bytes]:
        return status, b""

    assert await once_held(desk, work) == (status, b"", False)
    assert await once_held(desk, work) == (status, b"", False)


async def test_held_work_that_fails_frees_the_key(desk: Desk) -> None:
    async def work(_backends: Backends) -> tuple[int, bytes]:
        raise InvalidError("no")

    for _ in range(2):
        with pytest.raises(InvalidError):
            await once_held(desk, work)


async def test_a_process_that_died_at_work_frees_its_key_after_a_while(desk: Desk) -> None:
    clock = FixedClock(datetime.now(UTC))
    desk = replace(desk, backends=replace(desk.backends, clock=clock))
    request = rows.Request(desk.caller.identity, "POST", "/command/", "k")
    async with desk.backends.database.transaction() as tx:  # what the process left
        assert await rows.hold(tx, request, b"body", uuid4(), clock.now(), clock.now() + idempotency.HELD)

    async def work(_backends: Backends) -> tuple[int, bytes]:
        return 200, b"again"

    waiting = asyncio.create_task(once_held(desk, work))
    with pytest.raises(ConflictError):
        await once_held(desk, work, body=b"other")
    assert not waiting.done()
    clock.advance(idempotency.HELD)
    async with asyncio.timeout(10):
        assert await waiting == (200, b"again", False)


async def test_whoever_lost_the_key_keeps_no_answer(desk: Desk) -> None:
    clock = FixedClock(datetime.now(UTC))
    desk = replace(desk, backends=replace(desk.backends, clock=clock))

    async def slow(_backends: Backends) -> tuple[int, bytes]:
        clock.advance(idempotency.HELD)  # as if this process had stood still
        assert await once_held(desk, quick) == (200, b"other", False)
        return 200, b"late"

    async def quick(_backends: Backends) -> tuple[int, bytes]:
        return 200, b"other"

    assert await once_held(desk, slow) == (200, b"late", False)
    assert await once_held(desk, quick) == (200, b"other", True)
