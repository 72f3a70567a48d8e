"""The client that awaits; its logic is that of the one that waits, which the other tests of this room look at."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio

from hedgerow.client import AsyncClient, ClientError, Credentials, Cut, Ended, Received, Retries
from hedgerow.client.files import INLINE_BYTES
from tests.client.fake_server import KEY, FakeRun, FakeServer, said


async def no_pause(_: float) -> None:
    await asyncio.sleep(0)


@pytest_asyncio.fixture
async def awaiting(server: FakeServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(Credentials(server.url, KEY, "1"), pause=no_pause) as made:
        yield made


async def test_a_run_is_followed_through_cuts(server: FakeServer, awaiting: AsyncClient) -> None:
    run = server.add_run(server.add_task(), FakeRun(cuts=[2, 0, 1]))
    server.happen(run, *(said(str(number)) for number in range(6)))
    server.end(run)
    updates = [update async for update in awaiting.follow(run)]
    heard = [update.data["notification"]["params"]["update"]["content"]["text"] for update in updates if isinstance(update, Received)]
    assert heard == [str(number) for number in range(6)]
    assert run.cursors == [None, "2", "2", "3"]
    assert sum(isinstance(update, Cut) for update in updates) == 3
    assert isinstance(updates[-1], Ended)


async def test_a_reader_may_leave_early(server: FakeServer, awaiting: AsyncClient) -> None:
    run = server.add_run(server.add_task())
    server.happen(run, said("one"), said("two"))
    async with aclosing(awaiting.follow(run)) as updates:
        async for update in updates:
            assert isinstance(update, Received)
            break
    assert (await awaiting.retrieve_run(run)).id == run.id


async def test_many_calls_go_side_by_side(server: FakeServer, awaiting: AsyncClient) -> None:
    tasks = await asyncio.gather(*(awaiting.create_task(description=str(number)) for number in range(20)))
    assert {task.id async for task in awaiting.iterate_tasks(page=7)} == {task.id for task in tasks}


async def test_files_go_both_ways(server: FakeServer, awaiting: AsyncClient, tmp_path: Path) -> None:
    run, content = server.add_run(server.add_task()), os.urandom(INLINE_BYTES + 1)
    large, small = await asyncio.gather(awaiting.upload_artifact(run, content), awaiting.upload_artifact(run, b"x", name="x.txt"))
    await awaiting.download_artifact(run, large, to=tmp_path / "large")
    assert (tmp_path / "large").read_bytes() == content
    assert await awaiting.read_artifact(run, small) == b"x"
    assert (await awaiting.stage_artifact(run.task_id, content)).size == len(content)


async def test_a_call_that_is_cancelled_leaves_a_client_that_works(server: FakeServer, awaiting: AsyncClient) -> None:
    run = server.add_run(server.add_task())
    stream = awaiting.follow(run)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.to_thread(server.wait_for, "GET", "/stream/")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await awaiting.retrieve_run(run)).id == run.id


async def test_errors_and_tries_are_those_of_the_client_that_waits(server: FakeServer) -> None:
    async with AsyncClient(Credentials(server.url, KEY, "1"), retries=Retries(most=1), pause=no_pause) as client:
        server.stumbles = [(503, {})]
        assert list(await client.list_tasks()) == []
        server.stumbles = [(503, {}), (503, {})]
        with pytest.raises(ClientError, match="503"):
            await client.list_tasks()
