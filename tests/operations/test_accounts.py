import asyncio
import time
from dataclasses import replace

import pytest

from hedgerow.db.database import Database
from hedgerow.domain.access import PersonalCaller, RunCaller, Scope
from hedgerow.domain.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, UnauthenticatedError
from hedgerow.operations import access, accounts
from hedgerow.operations.backends import Backends
from hedgerow.operations.recent import Recent
from tests.operations.conftest import Desk, new_desk


async def test_a_key_stands_for_its_person(desk: Desk) -> None:
    key, value = await accounts.create_key(desk.backends, email=desk.email.upper(), label="laptop", scopes=["task:read"])

    caller = await access.authenticate(desk.backends, value)

    assert value.startswith("phx_")
    assert isinstance(caller, PersonalCaller)
    assert (caller.key_id, caller.user.email, caller.scopes) == (key.id, desk.email, frozenset({"task:read"}))


async def test_only_a_hash_of_a_key_is_kept(desk: Desk) -> None:
    _, value = await accounts.create_key(desk.backends, email=desk.email, label="laptop", scopes=["*"])

    async with desk.backends.database.statement() as tx:
        rows = await (await tx.connection.execute("SELECT k::text AS everything FROM personal_api_keys k")).fetchall()

    assert all(value not in row["everything"] for row in rows)


@pytest.mark.parametrize(
    ("token", "code"),
    [(None, "not_authenticated"), ("", "not_authenticated"), ("phx_no", "authentication_failed"), ("hrt_a.1.b", "authentication_failed")],
)
async def test_a_token_that_stands_for_nobody_is_refused(desk: Desk, token: str | None, code: str) -> None:
    with pytest.raises(UnauthenticatedError) as refusal:
        await access.authenticate(desk.backends, token)

    assert refusal.value.detail_code == code


async def test_a_run_token_stands_for_its_run_and_sees_its_project_alone(desk: Desk) -> None:
    run = await desk.run()

    caller = await access.authenticate(desk.backends, desk.run_token(run, epoch=3))

    assert caller == RunCaller(run_id=run.id, epoch=3)
    assert await access.project(desk.backends, caller, str(desk.project.id)) == desk.project
    other = await new_desk(desk.backends)
    with pytest.raises(NotFoundError):
        await access.project(desk.backends, caller, str(other.project.id))


async def test_a_project_is_found_by_number_and_as_the_current_one(desk: Desk) -> None:
    assert await access.project(desk.backends, desk.caller, str(desk.project.id)) == desk.project
    assert await access.project(desk.backends, desk.caller, "@current") == desk.project


@pytest.mark.parametrize("reference", ["x", "-1", "0", "99999999999999999", "1" * 40, "٣", "@other", ""])
async def test_a_project_that_does_not_exist_is_not_found(desk: Desk, reference: str) -> None:
    with pytest.raises(NotFoundError):
        await access.project(desk.backends, desk.caller, reference)


async def test_a_project_of_others_is_forbidden(desk: Desk) -> None:
    other = await new_desk(desk.backends)

    with pytest.raises(ForbiddenError, match="member"):
        await access.project(desk.backends, desk.caller, str(other.project.id))
    limited = replace(desk.caller, project_ids=frozenset({other.project.id}))
    with pytest.raises(ForbiddenError, match="limited"):
        await access.project(desk.backends, limited, str(desk.project.id))


async def test_a_missing_scope_is_named(desk: Desk) -> None:
    reader = replace(desk.caller, scopes=frozenset({"task:read"}))

    access.require(reader, Scope.TASK_READ)
    with pytest.raises(ForbiddenError, match="task:write"):
        access.require(reader, Scope.TASK_WRITE)


async def test_an_agent_makes_no_keys_and_has_no_projects(desk: Desk) -> None:
    agent = desk.agent(await desk.run())

    with pytest.raises(ForbiddenError):
        await accounts.create_own_key(desk.backends, agent, label="x", scopes=["*"], project_ids=[])
    with pytest.raises(ForbiddenError):
        await accounts.own_projects(desk.backends, agent)


async def test_what_an_account_lacks_is_named(desk: Desk) -> None:
    backends = desk.backends

    with pytest.raises(ConflictError):
        await accounts.create_user(backends, email=desk.email.upper())
    for wrong in (accounts.create_user(backends, email="nobody"), accounts.create_project(backends, name="  ")):
        with pytest.raises(InvalidError):
            await wrong
    for scopes, label, projects in ((["task:fly"], "x", None), ([], "x", None), (["*"], " ", None), (["*"], "x", [10**6])):
        with pytest.raises(InvalidError):
            await accounts.create_key(backends, email=desk.email, label=label, scopes=scopes, project_ids=projects)
    for missing in (
        accounts.create_key(backends, email="no@one.test", label="x", scopes=["*"]),
        accounts.add_member(backends, email="no@one.test", project_id=desk.project.id),
        accounts.add_member(backends, email=desk.email, project_id=10**6),
    ):
        with pytest.raises(NotFoundError):
            await missing


async def test_the_first_of_many_starts_makes_the_first_account(backends: Backends, database_url: str) -> None:
    database = Database(database_url, pool_size=4)
    await database.open()
    empty = replace(backends, database=database)

    made = [first for first in await asyncio.gather(*(accounts.bootstrap(empty) for _ in range(4))) if first is not None]

    assert len(made) == 1
    assert (made[0].project.id, made[0].user.email) == (1, accounts.FIRST_EMAIL)
    caller = await access.authenticate(empty, made[0].value)
    assert await access.project(empty, caller, "@current") == made[0].project
    await database.close()


async def test_a_revoked_key_opens_nothing_from_then_on(desk: Desk) -> None:
    key, value = await accounts.create_key(desk.backends, email=desk.email, label="laptop", scopes=["*"])
    await access.authenticate(desk.backends, value)

    revoked, owner = await accounts.revoke_key(desk.backends, key.id)

    assert (revoked.id, owner.email) == (key.id, desk.email)
    with pytest.raises(UnauthenticatedError):
        await access.authenticate(desk.backends, value)
    with pytest.raises(NotFoundError):
        await accounts.revoke_key(desk.backends, key.id)


async def test_another_process_forgets_a_revoked_key_within_a_second(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    key, value = await accounts.create_key(desk.backends, email=desk.email, label="laptop", scopes=["*"])
    elsewhere = replace(desk.backends, callers=Recent(), projects=Recent())
    await access.authenticate(elsewhere, value)
    await accounts.revoke_key(desk.backends, key.id)
    a_second_later = time.monotonic() + 1
    monkeypatch.setattr("hedgerow.operations.recent.time.monotonic", lambda: a_second_later)

    with pytest.raises(UnauthenticatedError):
        await access.authenticate(elsewhere, value)


async def test_keys_are_listed_newest_first_without_what_opens_anything(desk: Desk) -> None:
    key, value = await accounts.create_key(desk.backends, email=desk.email, label="x", scopes=["task:read"], project_ids=[desk.project.id])
    await access.authenticate(desk.backends, value)

    listed = await accounts.list_keys(desk.backends, email=desk.email)

    assert [found.id for found, _ in listed] == [key.id, desk.caller.key_id]
    assert (listed[0][0].project_ids, listed[0][0].last_used_at is None) == (frozenset({desk.project.id}), False)
    assert {owner.email for _, owner in listed} == {desk.email}
    assert key.id in {found.id for found, _ in await accounts.list_keys(desk.backends)}
    with pytest.raises(NotFoundError):
        await accounts.list_keys(desk.backends, email="no@one.test")


async def test_a_limited_key_manages_none_that_reaches_further(desk: Desk) -> None:
    _, value = await accounts.create_key(desk.backends, email=desk.email, label="x", scopes=["*"], project_ids=[desk.project.id])
    limited = await access.authenticate(desk.backends, value)

    assert [key.label for key in await accounts.own_keys(desk.backends, limited)] == ["x"]
    assert [key.label for key in await accounts.own_keys(desk.backends, desk.caller)] == ["x", "tests"]
    with pytest.raises(NotFoundError):
        await accounts.revoke_own_key(desk.backends, limited, desk.caller.key_id)
    stranger = await new_desk(desk.backends)
    with pytest.raises(NotFoundError):
        await accounts.revoke_own_key(desk.backends, stranger.caller, desk.caller.key_id)


async def test_who_is_removed_from_a_project_sees_it_no_more(desk: Desk) -> None:
    other = await accounts.create_project(desk.backends, name="Other")
    await accounts.add_member(desk.backends, email=desk.email, project_id=other.id)
    await access.project(desk.backends, desk.caller, str(desk.project.id))

    user = await accounts.remove_member(desk.backends, email=desk.email.upper(), project_id=desk.project.id)

    assert user.current_project_id == other.id
    with pytest.raises(ForbiddenError):
        await access.project(desk.backends, desk.caller, str(desk.project.id))
    for email in (desk.email, "no@one.test"):
        with pytest.raises(NotFoundError):
            await accounts.remove_member(desk.backends, email=email, project_id=desk.project.id)
    last = await accounts.remove_member(desk.backends, email=desk.email, project_id=other.id)
    assert last.current_project_id is None
