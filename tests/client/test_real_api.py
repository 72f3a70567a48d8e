"""The client against the API itself, on a real database, over HTTP on loopback."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from hedgerow.api import create_api
from hedgerow.client import AsyncClient, Client, ClientError, Credentials, Ended, Received, RunId
from hedgerow.domain.runs import Environment, RunStatus
from tests.api.conftest import MISSING, opened, populate
from tests.api.serving import QuietServer, quiet_config
from tests.conftest import fresh_database

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class House:
    """A served API, with a client of each kind for one person."""

    awaiting: AsyncClient
    waiting: Client
    server: QuietServer


@pytest.fixture(scope="module")
def database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    yield from fresh_database(postgres_url, template_database)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(database_url: str) -> AsyncIterator[House]:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    async with opened(database_url, public_url=f"http://127.0.0.1:{port}") as backends:
        project, _, key = await populate(backends)
        server = QuietServer(quiet_config(create_api(backends)))
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        await server.serving.wait()
        credentials = Credentials(f"http://127.0.0.1:{port}", key, str(project.id))
        async with AsyncClient(credentials) as awaiting:
            with Client(credentials) as waiting:
                yield House(awaiting, waiting, server)
        server.should_exit = True
        await serving


def entry(number: int) -> dict[str, object]:
    return {"type": "notification", "notification": {"jsonrpc": "2.0", "method": "_posthog/console", "params": {"message": f"{number}"}}}


async def test_tasks_are_made_found_changed_and_deleted(house: House) -> None:
    client = house.awaiting
    task = await client.create_task(
        title="Mend the fence", description="All of it", repository="Garden/Fence", json_schema={"type": "object"}
    )
    assert (task.repository, task.json_schema, task.origin_product) == ("garden/fence", {"type": "object"}, "user_created")
    assert task.created_by is not None
    assert task.created_at <= task.updated_at
    assert (await client.update_task(task, title="Paint it")).title == "Paint it"
    assert (await client.replace_task(task.id, description="Half of it")).description == "Half of it"
    assert [found.id for found in await client.list_tasks(search="paint", repository="fence", internal=False)] == [task.id]
    assert list(await client.list_tasks(status="failed")) == []
    assert "garden/fence" in await client.task_repositories()
    (summary,) = await client.summarize_tasks([task.id, MISSING])
    assert (summary.title, summary.status) == ("Paint it", None)
    await client.delete_task(task)
    with pytest.raises(ClientError) as raised:
        await client.retrieve_task(task)
    assert (raised.value.status, raised.value.code) == (404, "not_found")


async def test_every_task_is_iterated_over_pages(house: House) -> None:
    made = [await house.awaiting.create_task(title=f"Page {number}", origin_product="automation") for number in range(5)]
    found = [task.id async for task in house.awaiting.iterate_tasks(page=2, origin_product="automation")]
    assert found == [task.id for task in reversed(made)]
    first = await house.awaiting.list_tasks(limit=2, origin_product="automation")
    assert (len(first), first.total_count, first.has_more) == (2, 5, True)
    assert first[0].id == made[-1].id


async def test_a_run_is_made_started_changed_and_ended(house: House) -> None:
    client = house.awaiting
    task = await client.create_task(title="Runs")
    run = await client.create_run(task, environment="cloud", mode="interactive", branch="main")
    assert (run.status, run.environment, run.interactive) == (RunStatus.QUEUED, Environment.CLOUD, True)
    started = await client.start_run(run, pending_user_message="Go on")
    assert started.latest_run is not None
    assert started.latest_run.state["pending_user_message"] == "Go on"
    changed = await client.update_run(run, output={"a": 1}, state={"mine": [1]}, stage="build")
    assert (changed.output, changed.state["mine"], changed.stage) == ({"a": 1}, [1], "build")
    assert "mine" not in (await client.update_run(run, state_remove_keys=["mine"])).state
    assert (await client.set_output(run, {"b": 2})).output == {"b": 2}
    sent = await client.send_message(run, "One more thing")
    assert [message.id for message in await client.list_messages(run)][-1] == sent
    ended = await client.update_run(run, status="completed")
    assert ended.status is RunStatus.COMPLETED
    assert ended.completed_at is not None
    assert (await client.resume_in_cloud(run)).status is RunStatus.QUEUED
    assert [each.id async for each in client.iterate_runs(task)] == [run.id]
    again = await client.run_task(task, resume_from_run_id=run.id)
    assert again.latest_run is not None
    assert again.latest_run.state["resume_from_run_id"] == run.id


async def test_a_field_at_fault_is_named(house: House) -> None:
    task = await house.awaiting.create_task(title="Faults")
    with pytest.raises(ClientError) as raised:
        await house.awaiting.run_task(task, model="a model without an agent")
    assert (raised.value.status, raised.value.code, raised.value.attr) == (400, "invalid_input", "runtime_adapter")
    with pytest.raises(ClientError, match="No active sandbox"):
        await house.awaiting.cancel_turn(await house.awaiting.create_run(task))


async def test_logs_are_written_and_read_in_every_way(house: House) -> None:
    client = house.awaiting
    run = await client.create_run(await client.create_task(title="Logs"))
    await client.append_log(run, [entry(number) for number in range(5)])
    await client.append_log(run, [{"type": "info", "message": "line\u2028separator \ud800"}])
    page = await client.session_logs(run, limit=2, event_types=["_posthog/console"])
    assert (len(page), page.total_count, page.filtered_count, page.matching_count, page.has_more) == (2, 6, 5, 5, True)
    assert [one async for one in client.iterate_session_logs(run, page=2, event_types=["_posthog/console"])] == [
        entry(number) for number in range(5)
    ]
    lines = [line async for line in client.read_logs(run)]
    assert len(lines) == 6
    assert "separator" in lines[-1]


@pytest.mark.parametrize("kind", ["awaiting", "waiting"])
async def test_a_run_is_followed_from_its_beginning_to_its_end(house: House, kind: str) -> None:
    client = house.awaiting
    run = await client.create_run(await client.create_task(title="Follow"))
    await client.append_log(run, [entry(1)])

    def follow() -> list[object]:
        return list(house.waiting.follow(run))

    async def follow_awaiting() -> list[object]:
        return [update async for update in client.follow(run)]

    following = asyncio.ensure_future(asyncio.to_thread(follow) if kind == "waiting" else follow_awaiting())
    await client.append_log(run, [entry(2)])
    await client.update_run(run, status="failed", error_message="No nails")
    updates = await asyncio.wait_for(following, 30)
    received = [update for update in updates if isinstance(update, Received)]
    assert [update.data["type"] for update in received] == ["task_run_state", "notification", "notification", "task_run_state"]
    assert [update.cursor for update in received] == ["1", "2", "3", "4"]
    assert isinstance(updates[-1], Ended)
    assert updates[-1].run.error_message == "No nails"
    rest = [update.cursor async for update in client.follow(run, "3") if isinstance(update, Received)]
    assert rest == ["4"]
    assert [update.cursor async for update in client.read_stream_so_far(run)] == ["1", "2", "3", "4"]
    for cursor in ("99", "x", "-1"):
        with pytest.raises(ClientError) as raised:
            await anext(client.follow(run, cursor))
        assert raised.value.code == "invalid_cursor"


async def test_the_caller_the_project_and_the_server_are_asked(house: House) -> None:
    client = house.awaiting
    me = await client.retrieve_current_user()
    project = await client.retrieve_project()
    assert me.project is not None
    assert project.id in {each.id for each in me.projects}
    assert (await client.retrieve_project(project.id)).name == project.name
    key = await client.create_personal_key("reader", ["task:read"], project_ids=[project.id])
    assert key.project_ids == (project.id,)
    assert key.value is not None
    assert key.value not in repr(key)
    async with AsyncClient(Credentials(client.credentials.url, key.value, str(project.id))) as reader:
        with pytest.raises(ClientError) as raised:
            await reader.create_task(title="May not")
        assert raised.value.status == 403
    assert await client.health()
    run = await client.create_run(await client.create_task(title="Token"))
    reasons = {each.reason: each for each in await client.list_end_reasons()}
    assert (reasons["agent_lost"].category, reasons["agent_lost"].retryable) == ("agent", True)
    assert (await client.public_key()).startswith("-----BEGIN PUBLIC KEY-----")
    payload = (await client.connection_token(run)).split(".")[1]
    assert run.id in base64.urlsafe_b64decode(payload + "===").decode()
    registered = await client.register_repository(clone_url="https://example.com/garden/hedge.git", name="garden/hedge")
    assert registered.name in {known.name for known in await client.list_repositories()}


async def test_the_client_that_waits_says_the_same(house: House) -> None:
    def ask() -> str:
        task = house.waiting.create_task(title="Waiting")
        run = house.waiting.create_run(task)
        return house.waiting.retrieve_run(RunId(task.id, run.id)).id

    run_id = await asyncio.to_thread(ask)
    assert run_id


async def test_a_key_given_twice_makes_one_task(house: House) -> None:
    """What a retry relies on: the same call once more answers as the first did."""
    from hedgerow.client.calls import Call

    call = Call(method="POST", path="tasks/", body={"title": "Only once"}, headers={"Idempotency-Key": "one-and-the-same"})
    first, second = [(await house.awaiting._answer(call)).json()["id"] for _ in range(2)]
    assert first == second


async def test_an_id_that_would_lead_elsewhere_is_refused(house: House) -> None:
    with pytest.raises(ValueError, match="not an id"):
        await house.awaiting.retrieve_task("..")
    with pytest.raises(ClientError) as raised:
        await house.awaiting.retrieve_task("a/../../b?c#d")
    assert raised.value.status == 404
