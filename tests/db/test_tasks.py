"""The list of tasks and the counters behind it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from hedgerow.db import projects, tasks
from hedgerow.db.database import Database
from hedgerow.domain.tasks import TaskFilters

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database."""
    opened = Database(database_url)
    await opened.open()
    yield opened
    await opened.close()


async def a_project(database: Database) -> int:
    async with database.transaction() as tx:
        return (await projects.add(tx, uuid4(), "Hedge", NOW)).id


async def a_task(database: Database, project_id: int, number: int, *, internal: bool = False) -> UUID:
    columns = {
        "id": uuid4(),
        "project_id": project_id,
        "task_number": number,
        "title": f"task {number}",
        "title_manually_set": True,
        "description": "",
        "origin_product": "user_created",
        "internal": internal,
        "created_at": NOW + timedelta(seconds=number),
        "updated_at": NOW,
    }
    async with database.transaction() as tx:
        await tasks.add(tx, columns)
    return UUID(str(columns["id"]))


async def listed(database: Database, project_id: int, limit: int = 100, offset: int = 0, **filters: object) -> tuple[int, list[str]]:
    wanted = TaskFilters(**filters)  # type: ignore[arg-type]
    count, found = await database.in_thread(lambda connection: tasks.select(connection, project_id, wanted, limit, offset))
    return count, [task.title for task in found]


async def test_the_unfiltered_count_follows_whatever_happens_to_tasks(database: Database) -> None:
    project_id, other = await a_project(database), await a_project(database)
    ids = [await a_task(database, project_id, number) for number in range(4)]
    await a_task(database, other, 0)
    assert (await listed(database, project_id))[0] == 4

    async with database.transaction() as tx:
        await tasks.change(tx, ids[0], {"internal": True})
        await tasks.change(tx, ids[1], {"title": "another title"})
    assert (await listed(database, project_id))[0] == 3
    assert await listed(database, project_id, internal=True) == (1, ["task 0"])

    async with database.transaction() as tx:
        assert await tasks.delete(tx, project_id, ids[0], NOW)
        assert await tasks.delete(tx, project_id, ids[2], NOW)
        assert not await tasks.delete(tx, project_id, ids[2], NOW)
    assert await listed(database, project_id) == (2, ["task 3", "another title"])
    assert await listed(database, project_id, internal=True) == (0, [])

    async with database.transaction() as tx:
        await tx.connection.execute("DELETE FROM tasks WHERE id = %s", [ids[3]])
    assert await listed(database, project_id) == (1, ["another title"])
    assert await listed(database, other) == (1, ["task 0"])


async def test_a_page_beyond_the_end_still_tells_the_count(database: Database) -> None:
    project_id = await a_project(database)
    for number in range(3):
        await a_task(database, project_id, number)
    assert await listed(database, project_id, limit=2, offset=1) == (3, ["task 1", "task 0"])
    assert await listed(database, project_id, offset=7) == (3, [])
    assert await listed(database, project_id, offset=7, search="task") == (3, [])


async def test_an_unfiltered_page_is_read_from_the_index_alone(database: Database) -> None:
    project_id = await a_project(database)
    for number in range(30):
        await a_task(database, project_id, number)
    statement, values = tasks.page_query(project_id, TaskFilters(), 5, 0)
    async with database.transaction() as tx:
        await tx.connection.execute("SET LOCAL enable_seqscan = off")
        plan = await (await tx.connection.execute(b"EXPLAIN " + statement.as_bytes(), values)).fetchall()
    assert any("Scan using tasks_newest_first" in row["QUERY PLAN"] for row in plan)
