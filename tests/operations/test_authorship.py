from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hedgerow.db import github as rows
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.errors import InvalidError, RefusedError, UnavailableError
from hedgerow.domain.github import GitHubLink
from hedgerow.domain.integrations import Integration, IntegrationKind
from hedgerow.domain.runs import Environment, TaskRun
from hedgerow.domain.tasks import OriginProduct, Task
from hedgerow.integrations.github import GitHubOptions
from hedgerow.operations import authorship, github, integrations, runs, tasks
from hedgerow.operations.run_requests import RunRequest
from hedgerow.operations.starts import resume_in_cloud
from hedgerow.operations.tasks import TaskDraft
from tests.integrations.fake_github import FakeGitHub, account, serve
from tests.operations.conftest import Desk, new_desk

TOKEN, CALLERS = "ghp_0123456789abcdef", "ghu_that_came_with_the_run"
NEEDED = ("pr_authorship_mode", "github_authorization_required")


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with serve() as served:
        served.people[TOKEN] = account(7, "ada", name="Ada Lovelace")
        served.people[CALLERS] = account(8, "ada-at-work")
        yield served


@pytest.fixture
def at(desk: Desk, fake: FakeGitHub) -> Desk:
    """A desk whose hedgerow speaks to a fake GitHub."""
    return desk.with_rules(github=GitHubOptions(api_url=fake.url))


async def connected(desk: Desk, kind: IntegrationKind = IntegrationKind.GITHUB, secret: str | None = TOKEN) -> Integration:
    return await integrations.connect(desk.backends, desk.project.id, kind, display_name="acme", secret=secret)


async def linked(desk: Desk) -> GitHubLink:
    return await github.link(desk.backends, email=desk.email, token=TOKEN)


def said(run: TaskRun) -> tuple[str | None, str | None]:
    return run.state.get("pr_authorship_mode"), run.state.get("github_credential_source")


async def refused(desk: Desk, task: Task, **asked: str) -> tuple[str | None, str | None]:
    with pytest.raises(InvalidError) as refusal:
        await desk.started_run(task, pr_authorship_mode="user", **asked)
    return refusal.value.attr, refusal.value.detail_code


async def stored(desk: Desk, task: Task) -> Task:
    return await tasks.retrieve_task(desk.backends, desk.caller, desk.project, task.id)


async def token_of(desk: Desk, run: TaskRun) -> str | None:
    found = await authorship.credentials_of(desk.backends, run)
    return None if found is None else await authorship.token_of(desk.backends, found)


async def test_a_token_that_comes_with_the_run_is_enough_and_kept_for_six_hours(at: Desk) -> None:
    clock = FixedClock(at.backends.clock.now())
    desk = replace(at, backends=replace(at.backends, clock=clock))

    run = await desk.started_run(pr_authorship_mode="user", github_user_token=CALLERS)

    assert said(run) == ("user", "caller_token")
    found = await authorship.credentials_of(desk.backends, run)
    assert found is not None
    assert CALLERS not in repr(found)
    assert CALLERS not in repr(run)
    assert await token_of(desk, run) == CALLERS
    assert await authorship.author_of(desk.backends, found) == ("ada-at-work", "8+ada-at-work@users.noreply.github.com")
    async with desk.backends.database.transaction() as tx:
        sealed = await rows.run_token(tx, run.id, clock.now())
        assert sealed is not None
        assert CALLERS.encode() not in sealed
        await rows.forget_old_run_tokens(tx, clock.now() + timedelta(hours=5, minutes=59))
        assert await rows.run_token(tx, run.id, clock.now()) == sealed

    clock.advance(timedelta(hours=6))

    assert await token_of(desk, run) is None
    async with desk.backends.database.transaction() as tx:
        await rows.forget_old_run_tokens(tx, clock.now())
        assert await rows.run_token(tx, run.id, clock.now() - timedelta(hours=1)) is None


async def test_a_token_is_not_kept_where_the_run_is_not_the_persons(at: Desk) -> None:
    by_a_machine = {"pr_authorship_mode": "user", "run_source": "signal_report"}
    wishes: tuple[dict[str, Any], ...] = ({}, {"pr_authorship_mode": "bot"}, by_a_machine)
    for asked in wishes:
        run = await at.run(github_user_token=CALLERS, **asked)
        async with at.backends.database.transaction() as tx:
            assert await rows.run_token(tx, run.id, at.backends.clock.now()) is None
        assert await token_of(at, run) is None


@pytest.mark.parametrize("token", ["two words", "a\nhost=evil.example", "ü" * 20, "x" * 2000, "a\tb"])
async def test_what_could_break_out_of_a_header_is_no_token(at: Desk, token: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        await at.run(pr_authorship_mode="user", github_user_token=token)
    assert (refusal.value.attr, refusal.value.detail_code) == ("github_user_token", "invalid_input")
    assert token not in refusal.value.message


async def test_anybody_may_author_with_a_token_of_their_own(at: Desk) -> None:
    task, guest = await at.task(), await new_desk(at.backends)
    request = RunRequest(pr_authorship_mode="user", github_user_token=CALLERS)
    run = await runs.create_run(at.backends, guest.caller, at.project, task.id, request, Environment.CLOUD)
    assert said(run) == ("user", "caller_token")


async def test_a_linked_account_is_enough_and_noted_on_the_task(at: Desk) -> None:
    link, task = await linked(at), await at.task()
    await connected(at, secret="ghp_of_the_project")

    run = await at.started_run(task, pr_authorship_mode="user")

    assert said(run) == ("user", "server_integration")
    noted = await stored(at, task)
    assert noted.github_user_integration == link.id
    assert noted.updated_at > task.updated_at
    found = await authorship.credentials_of(at.backends, run)
    assert found is not None
    assert await token_of(at, run) == TOKEN
    assert await authorship.author_of(at.backends, found) == ("Ada Lovelace", "7+ada@users.noreply.github.com")
    assert authorship.agent_gets_token(run)

    await github.unlink(at.backends, email=at.email)
    assert await token_of(at, run) is None


async def test_without_a_link_the_projects_integration_stands_in_and_the_bot_authors(at: Desk) -> None:
    await connected(at)
    run = await at.started_run(pr_authorship_mode="user")
    assert said(run) == ("bot", "server_integration")
    assert await token_of(at, run) == TOKEN
    found = await authorship.credentials_of(at.backends, run)
    assert found is not None
    assert await authorship.author_of(at.backends, found) is None


async def test_a_link_that_github_refused_is_not_counted_on(at: Desk) -> None:
    link, task = await linked(at), await at.task()
    async with at.backends.database.transaction() as tx:
        await rows.refuse_link(tx, link, at.backends.clock.now())
    assert await refused(at, task) == NEEDED
    await connected(at)
    task = await at.task()
    assert said(await at.started_run(task, pr_authorship_mode="user")) == ("bot", "server_integration")


async def test_nobody_authors_anothers_task_whatever_is_connected(at: Desk) -> None:
    await connected(at)
    task, guest = await at.task(), await new_desk(at.backends)
    await github.link(at.backends, email=guest.email, token=CALLERS)
    with pytest.raises(InvalidError) as refusal:
        await runs.create_run(at.backends, guest.caller, at.project, task.id, RunRequest(pr_authorship_mode="user"), Environment.CLOUD)
    assert (refusal.value.attr, refusal.value.detail_code) == NEEDED


async def test_what_has_no_credentials_is_not_counted_on(at: Desk) -> None:
    await connected(at, secret=None)
    assert await refused(at, await at.task()) == NEEDED
    await connected(at, IntegrationKind.SLACK)
    assert await refused(at, await at.task()) == NEEDED


async def test_a_refused_run_leaves_the_task_as_it_was(at: Desk) -> None:
    await linked(at)
    task = await at.task()
    with pytest.raises(RefusedError, match="artifacts"):
        await at.started_run(task, pr_authorship_mode="user", pending_user_artifact_ids=("nothing",))
    assert (await stored(at, task)).github_user_integration is None


async def test_a_resumed_run_finds_its_author_anew(at: Desk) -> None:
    run = await at.run(environment=Environment.LOCAL, pr_authorship_mode="user", github_user_token=CALLERS)
    link = await linked(at)

    resumed = await resume_in_cloud(at.backends, at.caller, at.project, run.task_id, run.id)

    assert said(resumed) == ("user", "server_integration")
    assert await token_of(at, resumed) == TOKEN
    async with at.backends.database.transaction() as tx:
        assert await rows.run_token(tx, run.id, at.backends.clock.now()) is None
        assert (await rows.of_task(tx, run.task_id))[1] == link.id


async def test_a_resumed_run_falls_back_to_the_projects_integration(at: Desk) -> None:
    await connected(at)
    wishes: tuple[dict[str, Any], ...] = ({}, {"pr_authorship_mode": "user", "github_user_token": CALLERS})
    for asked in wishes:
        run = await at.run(environment=Environment.LOCAL, **asked)
        resumed = await resume_in_cloud(at.backends, at.caller, at.project, run.task_id, run.id)
        assert said(resumed) == ("bot", "server_integration")


async def test_a_run_of_nobody_uses_the_projects_integration_for_git_alone(at: Desk) -> None:
    await connected(at)
    run = await at.started_run(await at.task(origin_product=OriginProduct.AUTOMATION))
    assert said(run) == (None, None)
    assert await token_of(at, run) == TOKEN
    assert not authorship.agent_gets_token(run)


async def test_a_run_uses_the_integration_that_its_task_names(at: Desk) -> None:
    await connected(at)
    second = await connected(at, secret="ghp_of_the_second_one")
    run = await at.started_run(await at.task(github_integration=second.id))
    assert await token_of(at, run) == "ghp_of_the_second_one"


async def test_credentials_under_another_secret_key_say_so(at: Desk) -> None:
    run = await at.started_run(pr_authorship_mode="user", github_user_token=CALLERS)
    other = at.with_rules(secrets=(b"another secret key, long enough as well",))
    with pytest.raises(UnavailableError, match="HEDGEROW_SECRET_KEY"):
        await token_of(other, run)


async def test_a_new_task_gets_the_projects_first_github_integration(at: Desk) -> None:
    await connected(at, IntegrationKind.SLACK)
    assert (await at.task()).github_integration is None
    first, second = await connected(at), await connected(at)
    assert (await at.task()).github_integration == first.id
    assert (await at.task(github_integration=None)).github_integration == first.id
    assert (await at.task(github_integration=second.id)).github_integration == second.id


async def test_a_task_names_integrations_of_its_own_project_and_its_callers_link(at: Desk) -> None:
    slack, task = await connected(at, IntegrationKind.SLACK), await at.task()
    guest = await new_desk(at.backends)
    foreign = await connected(guest)
    their_link = await github.link(at.backends, email=guest.email, token=CALLERS)
    for field, value, code in (
        ("github_integration", foreign.id, "does_not_exist"),
        ("github_integration", slack.id, "invalid_input"),
        ("github_user_integration", their_link.id, "does_not_exist"),
    ):
        for change in (
            at.task(**{field: value}),
            tasks.update_task(at.backends, at.caller, at.project, task.id, TaskDraft(**{field: value})),  # type: ignore[arg-type]
        ):
            with pytest.raises(InvalidError) as refusal:
                await change
            assert (refusal.value.attr, refusal.value.detail_code) == (field, code)


async def test_what_a_task_names_already_may_be_written_again_by_anybody(at: Desk) -> None:
    link, made = await linked(at), await connected(at)
    task = await at.task(github_user_integration=link.id)
    guest = await new_desk(at.backends)
    draft = TaskDraft(title="Anew", github_user_integration=link.id, github_integration=made.id)
    changed = await tasks.update_task(at.backends, guest.caller, at.project, task.id, draft)
    assert (changed.title, changed.github_user_integration) == ("Anew", link.id)
    cleared = await tasks.update_task(at.backends, guest.caller, at.project, task.id, TaskDraft(github_user_integration=None))
    assert (cleared.github_user_integration, cleared.github_integration) == (None, made.id)
