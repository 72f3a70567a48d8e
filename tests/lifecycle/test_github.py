from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

import pytest

from hedgerow.db import github as rows
from hedgerow.domain.actions import Prepare
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.integrations import IntegrationKind
from hedgerow.domain.runs import TaskRun
from hedgerow.integrations.github import GitHubOptions
from hedgerow.lifecycle.github import agent_environment, commit_author, git_login
from hedgerow.lifecycle.prepare import prepare
from hedgerow.operations import github, integrations
from hedgerow.repositories import Checkout, Login, Repositories
from hedgerow.worker.forgetting import forget
from tests.integrations.fake_github import FakeGitHub, account, serve
from tests.lifecycle.conftest import World
from tests.lifecycle.plugs import MemoryRepositories

TOKEN, CALLERS = "ghp_0123456789abcdef", "ghu_that_came_with_the_run"
ON_GITHUB = "https://git.test/org/project"


@dataclass
class WatchedRepositories(MemoryRepositories):
    """Repositories that remember what was wished of them."""

    wishes: list[dict[str, Any]] = field(default_factory=list)

    async def check_out(self, **wishes: Any) -> Checkout:
        self.wishes.append(wishes)
        return await super().check_out(**wishes)


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with serve() as served:
        served.people[TOKEN] = account(7, "ada", name="Ada Lovelace")
        served.people[CALLERS] = account(8, "ada-at-work")
        yield served


@pytest.fixture
def at(world: World, fake: FakeGitHub) -> World:
    """A world whose repositories lie on a fake GitHub."""
    backends = world.node.backends
    options = GitHubOptions(api_url=fake.url, url="https://git.test")
    return world.with_node(backends=replace(backends, rules=replace(backends.rules, github=options)))


async def connected(at: World) -> None:
    await integrations.connect(at.node.backends, at.project.id, IntegrationKind.GITHUB, display_name="acme", secret=TOKEN)


async def uses(at: World, run: TaskRun) -> tuple[str | None, dict[str, str], tuple[str, str] | None]:
    login = await git_login(at.node, run, ON_GITHUB)
    return None if login is None else login.password, await agent_environment(at.node, run), await commit_author(at.node, run)


def variables(token: str) -> dict[str, str]:
    return {"GITHUB_TOKEN": token, "GH_TOKEN": token}


async def test_without_github_nothing_is_used(at: World) -> None:
    assert await uses(at, await at.run()) == (None, {}, None)
    assert await uses(at, await at.run(pr_authorship_mode="bot")) == (None, {}, None)


async def test_a_run_of_nobody_uses_the_projects_token_for_git_alone(at: World) -> None:
    await connected(at)
    assert await uses(at, await at.run()) == (TOKEN, {}, None)


async def test_a_run_of_the_bot_gives_its_agent_the_projects_token(at: World) -> None:
    await connected(at)
    assert await uses(at, await at.run(pr_authorship_mode="bot")) == (TOKEN, variables(TOKEN), None)


async def test_a_run_of_a_person_works_and_commits_as_that_person(at: World, fake: FakeGitHub) -> None:
    await connected(at)
    run = await at.run(pr_authorship_mode="user", github_user_token=CALLERS)
    assert await uses(at, run) == (CALLERS, variables(CALLERS), ("ada-at-work", "8+ada-at-work@users.noreply.github.com"))
    fake.answers.append((500, {}, b"{}"))
    assert await commit_author(at.node, run) is None

    await github.link(at.node.backends, email=at.caller.user.email, token=TOKEN)
    linked = await at.run(pr_authorship_mode="user")
    assert await uses(at, linked) == (TOKEN, variables(TOKEN), ("Ada Lovelace", "7+ada@users.noreply.github.com"))


@pytest.mark.parametrize(
    "url", ["https://other.test/org/project", "http://git.test/org/project", "/srv/project", "git@git.test:org/project"]
)
async def test_no_token_goes_elsewhere(at: World, url: str) -> None:
    await connected(at)
    assert await git_login(at.node, await at.run(pr_authorship_mode="bot"), url) is None


async def test_a_url_with_its_own_password_keeps_it(at: World) -> None:
    await connected(at)
    assert await git_login(at.node, await at.run(), "https://ada:pw@git.test/org/project") is None


async def test_a_token_that_cannot_be_opened_is_an_error(at: World) -> None:
    await connected(at)
    run = await at.run(pr_authorship_mode="bot")
    rules = replace(at.node.backends.rules, secrets=(b"another secret key, long enough as well",))
    other = at.with_node(backends=replace(at.node.backends, rules=rules))
    with pytest.raises(UnavailableError, match="HEDGEROW_SECRET_KEY"):
        await git_login(other.node, run, ON_GITHUB)


async def test_a_checkout_is_opened_and_signed(at: World) -> None:
    watched = WatchedRepositories(root=at.repositories.root)
    watched.let_go.set()
    at = at.with_node(repositories=cast("Repositories", watched))
    run = await at.run(pr_authorship_mode="user", github_user_token=CALLERS)

    await prepare(at.node, run, Prepare(sandbox=False, workspace=True))

    (wishes,) = watched.wishes
    assert wishes["login"] == Login(place="https://git.test", username="x-access-token", password=CALLERS)
    assert wishes["author"] == ("ada-at-work", "8+ada-at-work@users.noreply.github.com")
    assert CALLERS not in repr(wishes)


async def test_a_worker_forgets_tokens_whose_time_is_over(at: World) -> None:
    run = await at.run(pr_authorship_mode="user", github_user_token=CALLERS)
    now = at.node.backends.clock.now()
    for later, left in ((timedelta(hours=5), True), (timedelta(hours=7), False)):
        await forget(at.with_node(backends=replace(at.node.backends, clock=FixedClock(now + later))).node)
        async with at.node.backends.database.transaction() as tx:
            assert (await rows.run_token(tx, run.id, now) is not None) is left
