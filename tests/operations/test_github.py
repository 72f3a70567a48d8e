import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from hedgerow.db import github as rows
from hedgerow.domain.audit import AuditFilters
from hedgerow.domain.errors import ForbiddenError, InvalidError, LimitExceededError, NotFoundError, RefusedError, UnavailableError
from hedgerow.domain.github import GitHubLink
from hedgerow.integrations.github import GitHubOptions, TokenRefusedError
from hedgerow.operations import audit, github, integrations
from hedgerow.operations.backends import GitHubAnswers
from hedgerow.operations.pages import Paging
from hedgerow.operations.tasks import retrieve_task
from tests.integrations.fake_github import FakeGitHub, account, app, repository, serve
from tests.operations.conftest import Desk, new_desk

TOKEN, OTHER = "ghp_0123456789abcdef", "ghp_other_token_of_hers"


@dataclass(frozen=True)
class Connected:
    """A desk whose hedgerow speaks to a fake GitHub."""

    desk: Desk
    fake: FakeGitHub

    def anew(self, **changes: object) -> Desk:
        """The desk in a process that remembers nothing, under other options."""
        options = replace(self.desk.backends.rules.github, **changes)  # type: ignore[arg-type]
        fresh = self.desk.with_rules(github=options)
        return replace(fresh, backends=replace(fresh.backends, github=GitHubAnswers()))

    async def linked(self, token: str = TOKEN) -> GitHubLink:
        return await github.link(self.desk.backends, email=self.desk.email, token=token)


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with serve() as served:
        served.people[TOKEN] = account(7, "ada", name="Ada")
        served.people[OTHER] = account(8, "ada-at-work")
        served.repositories[TOKEN] = [repository(1, "acme/web"), repository(2, "acme/api")]
        served.repositories[OTHER] = [repository(3, "other/app")]
        served.branches["acme/web"] = ["dev", "main"]
        yield served


@pytest.fixture
def connected(desk: Desk, fake: FakeGitHub) -> Connected:
    it = Connected(desk.with_rules(github=GitHubOptions(api_url=fake.url, app=app())), fake)
    return Connected(it.anew(), fake)


async def repositories(desk: Desk, integration_id: int, *, renew: bool = False) -> list[str]:
    found = await github.repositories_of_project(desk.backends, desk.caller, desk.project, integration_id, renew=renew)
    return [one.full_name for one in found]


async def test_a_project_is_connected_with_a_token_that_is_shown_nowhere(connected: Connected) -> None:
    desk = connected.desk
    made = await github.connect(desk.backends, desk.project.id, token=f" {TOKEN}\n", installation_id=None)

    assert (made.display_name, made.config) == ("ada", {"account": {"type": "User", "name": "ada"}})
    assert integrations.secret_of(desk.backends, made) == TOKEN
    assert TOKEN not in repr(made)
    assert TOKEN.encode() not in (made.sealed_secret or b"")
    assert await repositories(desk, made.id) == ["acme/api", "acme/web"]


async def test_what_github_does_not_take_is_not_connected(connected: Connected) -> None:
    desk = connected.desk
    with pytest.raises(TokenRefusedError):
        await github.connect(desk.backends, desk.project.id, token="ghp_wrong", installation_id=None)
    with pytest.raises(InvalidError) as refusal:
        await github.connect(desk.backends, desk.project.id, token="two words", installation_id=None)
    assert (refusal.value.attr, "two words" in refusal.value.message) == ("token", False)
    with pytest.raises(NotFoundError, match="no project"):
        await github.connect(desk.backends, 2**30, token=TOKEN, installation_id=None)
    with pytest.raises(InvalidError) as refusal:
        await github.connect(desk.backends, desk.project.id, token=None, installation_id="../x")
    assert refusal.value.attr == "installation"
    with pytest.raises(NotFoundError):
        await github.connect(desk.backends, desk.project.id, token=None, installation_id="999")
    assert await integrations.list_integrations(desk.backends, desk.caller, desk.project) == []


async def test_an_installations_token_is_made_once_until_shortly_before_its_end(connected: Connected) -> None:
    desk, fake = connected.desk, connected.fake
    fake.installations["42"] = account(9, "acme", type="Organization")
    fake.repositories["installation 42"] = [repository(5, "acme/inner")]
    made = await github.connect(desk.backends, desk.project.id, token=None, installation_id="42", name="Acme")
    assert (made.display_name, made.config["installation_id"], made.sealed_secret) == ("Acme", "42", None)

    assert await repositories(desk, made.id) == ["acme/inner"]
    assert await repositories(desk, made.id, renew=True) == ["acme/inner"]
    assert len(fake.minted) == 1

    fake.lifetime = timedelta(minutes=4)
    elsewhere = connected.anew()
    await repositories(elsewhere, made.id)
    await repositories(elsewhere, made.id, renew=True)
    assert len(fake.minted) == 3

    with pytest.raises(RefusedError, match="HEDGEROW_GITHUB_APP_ID"):
        await repositories(connected.anew(app=None), made.id, renew=True)


async def test_a_list_is_asked_for_once_until_it_is_old_or_renewed(connected: Connected) -> None:
    desk, fake = connected.desk, connected.fake
    made = await github.connect(desk.backends, desk.project.id, token=TOKEN, installation_id=None)
    fake.asked.clear()

    at_once = await asyncio.gather(*(repositories(desk, made.id) for _ in range(5)))
    assert (at_once[0], len(fake.asked)) == (["acme/api", "acme/web"], 1)
    fake.repositories[TOKEN].append(repository(4, "acme/new"))
    assert await repositories(desk, made.id) == ["acme/api", "acme/web"]
    assert await repositories(desk, made.id, renew=True) == ["acme/api", "acme/new", "acme/web"]
    assert await repositories(desk, made.id) == ["acme/api", "acme/new", "acme/web"]
    assert len(fake.asked) == 2

    aging = connected.anew(list_age_seconds=1e-6)
    await repositories(aging, made.id)
    await repositories(aging, made.id)
    assert len(fake.asked) == 4


async def test_a_failed_renewal_leaves_what_is_remembered(connected: Connected) -> None:
    desk, fake = connected.desk, connected.fake
    made = await github.connect(desk.backends, desk.project.id, token=TOKEN, installation_id=None)
    await repositories(desk, made.id)
    fake.answers.append((429, {"Retry-After": "7"}, b"{}"))
    with pytest.raises(LimitExceededError):
        await repositories(desk, made.id, renew=True)
    assert await repositories(desk, made.id) == ["acme/api", "acme/web"]


async def test_branches_are_those_of_a_repository_that_is_opened(connected: Connected) -> None:
    desk = connected.desk
    made = await github.connect(desk.backends, desk.project.id, token=TOKEN, installation_id=None)

    found = await github.branches_of_project(desk.backends, desk.caller, desk.project, made.id, "Acme/Web")

    assert (found.names, found.default) == (("dev", "main"), "main")
    for name, code in ((None, "required"), ("web", "invalid_input"), ("../..", "invalid_input")):
        with pytest.raises(InvalidError) as refusal:
            await github.branches_of_project(desk.backends, desk.caller, desk.project, made.id, name)
        assert (refusal.value.attr, refusal.value.detail_code) == ("repo", code)
    with pytest.raises(NotFoundError):
        await github.branches_of_project(desk.backends, desk.caller, desk.project, made.id, "acme/unknown")


async def test_another_projects_integration_is_not_found(connected: Connected) -> None:
    desk = connected.desk
    made = await github.connect(desk.backends, desk.project.id, token=TOKEN, installation_id=None)
    stranger = await new_desk(desk.backends)
    with pytest.raises(NotFoundError):
        await repositories(stranger, made.id)
    with pytest.raises(ForbiddenError):
        await github.repositories_of_project(desk.backends, desk.agent(await desk.run()), desk.project, made.id)


async def test_a_person_is_linked_and_a_new_token_takes_the_place_of_the_old_one(connected: Connected) -> None:
    desk = connected.desk
    first = await connected.linked()
    assert [one.full_name for one in await github.repositories_of_person(desk.backends, desk.caller, first.id)] == ["acme/api", "acme/web"]

    second = await connected.linked(OTHER)

    assert (second.id, second.account.login) == (first.id, "ada-at-work")
    assert [one.full_name for one in await github.repositories_of_person(desk.backends, desk.caller, first.id)] == ["other/app"]
    stored = await github.own_link(desk.backends, desk.caller)
    assert stored is not None
    assert OTHER not in repr(stored)
    assert OTHER.encode() not in (stored.sealed_token or b"")


async def test_a_link_is_its_owners_alone(connected: Connected) -> None:
    linked = await connected.linked()
    stranger = await new_desk(connected.desk.backends)
    with pytest.raises(NotFoundError):
        await github.repositories_of_person(stranger.backends, stranger.caller, linked.id)
    assert await github.own_link(stranger.backends, stranger.caller) is None


async def test_nobody_unknown_is_linked_and_nobody_without_a_link_unlinked(connected: Connected) -> None:
    desk = connected.desk
    with pytest.raises(NotFoundError):
        await github.link(desk.backends, email="nobody@example.test", token=TOKEN)
    with pytest.raises(NotFoundError):
        await github.unlink(desk.backends, email=desk.email)
    await connected.linked()
    await github.unlink(desk.backends, email=desk.email)
    assert await github.own_link(desk.backends, desk.caller) is None
    notes = [entry.note for entry in (await audit.read_whole_audit(desk.backends, AuditFilters(), Paging(limit=2))).items]
    assert [(note.action.value, note.subject) for note in notes] == [
        ("github.unlink", str(desk.caller.user.id)),
        ("github.link", str(desk.caller.user.id)),
    ]


async def test_a_link_that_github_refuses_does_not_count_until_it_is_made_anew(connected: Connected) -> None:
    desk, linked = connected.desk, await connected.linked()
    connected.fake.answers.append((401, {}, b"{}"))
    with pytest.raises(TokenRefusedError):
        await github.repositories_of_person(desk.backends, desk.caller, linked.id)
    refused = await github.own_link(desk.backends, desk.caller)
    assert refused is not None
    assert not refused.usable

    await connected.linked()

    again = await github.own_link(desk.backends, desk.caller)
    assert again is not None
    assert again.usable
    async with desk.backends.database.transaction() as tx:
        await rows.refuse_link(tx, linked, desk.backends.clock.now())  # a late word about the earlier token
    after = await github.own_link(desk.backends, desk.caller)
    assert after == again


async def test_a_link_under_another_secret_key_says_so(connected: Connected) -> None:
    linked = await connected.linked()
    other = connected.anew()
    other = other.with_rules(secrets=(b"another secret key, long enough as well",))
    with pytest.raises(UnavailableError, match="HEDGEROW_SECRET_KEY"):
        await github.repositories_of_person(other.backends, other.caller, linked.id)


async def test_the_app_is_installed_where_github_says(connected: Connected) -> None:
    desk = connected.desk
    url = await github.install_url(desk.backends, desk.caller, str(desk.project.id))
    assert url == f"{connected.fake.url}/apps/hedge/installations/new"
    stranger = await new_desk(desk.backends)
    with pytest.raises(ForbiddenError):
        await github.install_url(desk.backends, desk.caller, str(stranger.project.id))
    without = connected.anew(app=None)
    with pytest.raises(InvalidError, match="connect-github"):
        await github.install_url(without.backends, without.caller, None)


async def test_a_disconnected_integration_is_named_by_no_task(connected: Connected) -> None:
    desk = connected.desk
    made = await github.connect(desk.backends, desk.project.id, token=TOKEN, installation_id=None)
    linked = await connected.linked()
    task = await desk.task(github_user_integration=linked.id)
    assert (task.github_integration, task.github_user_integration) == (made.id, linked.id)

    await integrations.disconnect(desk.backends, desk.project.id, made.id)
    await github.unlink(desk.backends, email=desk.email)

    run = await desk.started_run(task)
    assert run.status.value == "queued"
    fresh = await retrieve_task(desk.backends, desk.caller, desk.project, task.id)
    assert (fresh.github_integration, fresh.github_user_integration) == (None, None)
