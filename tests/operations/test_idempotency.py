import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

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
