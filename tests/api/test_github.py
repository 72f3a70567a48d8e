from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from hedgerow.api import create_api
from hedgerow.api.schemas.runs import TaskRunStart
from hedgerow.domain import run_tokens
from hedgerow.domain.access import ORGANIZATION_ID
from hedgerow.domain.integrations import IntegrationKind
from hedgerow.integrations.github import GitHubOptions
from hedgerow.operations import github, integrations
from hedgerow.operations.backends import Backends, GitHubAnswers
from tests.api.conftest import PUBLIC_URL, Served, populate
from tests.integrations.fake_github import FakeGitHub, account, app, repository, serve

TOKEN = "ghp_0123456789abcdef"


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with serve() as served:
        served.people[TOKEN] = account(7, "ada")
        served.repositories[TOKEN] = [repository(number, f"acme/r{number}") for number in range(1, 6)]
        served.branches["acme/r1"] = ["dev", "feature/x", "feature/y", "main"]
        yield served


@dataclass(frozen=True)
class Connected:
    """A project that is connected with a fake GitHub."""

    served: Served
    fake: FakeGitHub
    integration_id: int

    @property
    def project(self) -> str:
        return f"/api/projects/{self.served.project.id}/"

    @property
    def integration(self) -> str:
        return f"{self.project}integrations/{self.integration_id}/"

    async def get(self, path: str, status: int = 200, **query: Any) -> Any:
        response = await self.served.client.get(path, params=query)
        assert response.status_code == status, response.text
        assert TOKEN not in response.text
        return response.json()


@pytest_asyncio.fixture(loop_scope="session")
async def connected(backends: Backends, fake: FakeGitHub) -> AsyncIterator[Connected]:
    options = GitHubOptions(api_url=fake.url, app=app())
    own = replace(backends, rules=replace(backends.rules, github=options, feature_flags=("tasks", "twig")), github=GitHubAnswers())
    project, email, key = await populate(own)
    made = await github.connect(own, project.id, token=TOKEN, installation_id=None, name="Acme")
    transport = httpx.ASGITransport(create_api(own), raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL, headers=headers) as client:
        yield Connected(Served(own, client, project, email, key), fake, made.id)


async def test_integrations_are_listed_without_secrets(connected: Connected) -> None:
    listed = await connected.get(f"{connected.project}integrations")
    (shown,) = listed["results"]
    assert (listed["count"], listed["next"], set(shown)) == (1, None, {"id", "kind", "display_name", "config", "created_at"})
    assert (shown["id"], shown["kind"], shown["display_name"]) == (connected.integration_id, "github", "Acme")
    assert shown["config"] == {"account": {"type": "User", "name": "ada"}}


async def test_an_environment_is_a_project_by_another_name(connected: Connected) -> None:
    environment = connected.integration.replace("/projects/", "/environments/")
    assert (await connected.get(f"{environment}github_repos/"))["repositories"]
    paged = await connected.get(f"/api/environments/{connected.served.project.id}/integrations/", limit=1)
    assert paged["count"] == 1
    created = await connected.served.client.post(f"/api/environments/{connected.served.project.id}/tasks/", json={"title": "Mend"})
    assert created.status_code == 201
    assert created.json()["github_integration"] == connected.integration_id
    tasks = await connected.get(f"/api/environments/{connected.served.project.id}/tasks/", limit=1)
    assert tasks["results"][0]["id"] == created.json()["id"]
    missing = await connected.served.client.get("/api/environments/999999999/integrations/")
    assert missing.status_code == 404


async def test_repositories_come_in_parts_and_by_their_names(connected: Connected) -> None:
    path = f"{connected.integration}github_repos/"
    first = await connected.get(path, limit=2)
    assert first == {
        "repositories": [{"id": 1, "name": "r1", "full_name": "acme/r1"}, {"id": 2, "name": "r2", "full_name": "acme/r2"}],
        "has_more": True,
    }
    last = await connected.get(path, offset=4, limit=2)
    assert ([one["name"] for one in last["repositories"]], last["has_more"]) == (["r5"], False)
    assert [one["name"] for one in (await connected.get(path, search=" ACME/R3 "))["repositories"]] == ["r3"]
    assert await connected.get(path, search="nothing") == {"repositories": [], "has_more": False}
    assert len([asked for asked in connected.fake.asked if "/user/repos" in asked]) == 1


async def test_a_refresh_asks_github_anew(connected: Connected) -> None:
    await connected.get(f"{connected.integration}github_repos/")
    connected.fake.repositories[TOKEN].append(repository(6, "acme/r6"))
    assert len((await connected.get(f"{connected.integration}github_repos/"))["repositories"]) == 5
    response = await connected.served.client.post(f"{connected.integration}github_repos/refresh/")
    assert (response.status_code, len(response.json()["repositories"])) == (200, 6)
    assert len((await connected.get(f"{connected.integration}github_repos/"))["repositories"]) == 6
    reader = await connected.served.key_with("task:read")
    refused = await connected.served.client.post(f"{connected.integration}github_repos/refresh/", headers=reader)
    assert refused.status_code == 403


async def test_branches_come_in_parts_with_the_default_one(connected: Connected) -> None:
    path = f"{connected.integration}github_branches/"
    assert await connected.get(path, repo="acme/r1", limit=1, search="feature") == {
        "branches": ["feature/x"],
        "default_branch": "main",
        "has_more": True,
    }
    assert (await connected.get(path, 400))["attr"] == "repo"
    assert (await connected.get(path, 400, repo="acme"))["attr"] == "repo"
    await connected.get(path, 404, repo="acme/unknown")


@pytest.mark.parametrize("name", ["0", "x", "-1", "99999999999999999999", "2147483648"])
async def test_what_is_no_integration_is_not_found(connected: Connected, name: str) -> None:
    for path in ("github_repos/", "github_branches/"):
        await connected.get(f"{connected.project}integrations/{name}/{path}", 404, repo="a/b")


async def test_an_integration_of_another_kind_or_project_has_no_repositories(connected: Connected, served: Served) -> None:
    own = connected.served
    slack = await integrations.connect(own.backends, own.project.id, IntegrationKind.SLACK, display_name="Slack", secret="xoxb-1")
    await connected.get(f"{connected.project}integrations/{slack.id}/github_repos/", 404)
    assert [one["kind"] for one in (await connected.get(f"{connected.project}integrations/"))["results"]] == ["github", "slack"]
    foreign = await served.client.get(f"/api/projects/{served.project.id}/integrations/{connected.integration_id}/github_repos/")
    assert foreign.status_code == 404


async def test_troubles_of_github_are_told(connected: Connected) -> None:
    path = f"{connected.integration}github_repos/"
    connected.fake.answers.append((429, {"Retry-After": "30"}, b"{}"))
    limited = await connected.served.client.get(path)
    assert (limited.status_code, limited.headers["Retry-After"], limited.json()["type"]) == (429, "30", "throttled_error")
    connected.fake.answers.append((401, {}, b"{}"))
    assert "token" in (await connected.get(path, 400))["error"]
    connected.fake.answers.append((503, {}, b"{}"))
    assert (await connected.get(path, 503))["code"] == "unavailable"
    assert len((await connected.get(path))["repositories"]) == 5


async def test_who_is_not_linked_has_no_login(connected: Connected) -> None:
    assert await connected.get("/api/users/@me/github_login/") == {"github_login": None}
    assert await connected.get("/api/users/@me/integrations/") == {"results": []}
    await connected.get("/api/users/@me/integrations/github/01890000-0000-7000-8000-000000000000/repos/", 404)
    await connected.get("/api/users/@me/integrations/github/42/repos/", 404)


async def test_who_is_linked_picks_from_their_own_repositories(connected: Connected) -> None:
    linked = await github.link(connected.served.backends, email=connected.served.email, token=TOKEN)

    assert await connected.get("/api/users/@me/github_login/") == {"github_login": "ada"}
    (shown,) = (await connected.get("/api/users/@me/integrations/"))["results"]
    assert (shown["id"], shown["kind"], shown["account"]) == (str(linked.id), "github", {"type": "User", "name": "ada"})
    assert shown["uses_shared_installation"] is False
    mine = f"/api/users/@me/integrations/github/{shown['installation_id']}/"
    assert len((await connected.get(f"{mine}repos/"))["repositories"]) == 5
    connected.fake.repositories[TOKEN].append(repository(6, "acme/r6"))
    refreshed = await connected.served.client.post(f"{mine}repos/refresh/")
    assert len(refreshed.json()["repositories"]) == 6
    assert (await connected.get(f"{mine}branches/", repo="acme/r1"))["default_branch"] == "main"
    assert (await connected.get(f"{mine}branches/", 400))["attr"] == "repo"


async def test_the_way_to_github_is_the_apps(connected: Connected) -> None:
    start, client = "/api/users/@me/integrations/github/start/", connected.served.client
    response = await client.post(start, json={"team_id": connected.served.project.id, "connect_from": "desktop"})
    assert (response.status_code, response.json()) == (200, {"install_url": f"{connected.fake.url}/apps/hedge/installations/new"})
    assert (await client.post(start)).status_code == 200
    assert (await client.post(start, json={"team_id": "x"})).json()["attr"] == "team_id"
    assert (await client.post(start, json={"team_id": 2**30})).status_code == 404


async def test_without_an_app_it_is_said_how_to_connect(served: Served) -> None:
    response = await served.client.post("/api/users/@me/integrations/github/start/", json={})
    assert (response.status_code, response.json()["type"]) == (400, "validation_error")
    assert "hedgerow admin link-github" in response.json()["detail"]


async def test_there_is_one_organization_to_choose(served: Served) -> None:
    chosen = await served.client.patch("/api/users/@me/", json={"set_current_organization": str(ORGANIZATION_ID)})
    assert (chosen.status_code, chosen.json()["organization"]["id"]) == (200, str(ORGANIZATION_ID))
    assert (await served.client.patch("/api/users/@me", json={})).json() == chosen.json()
    for value, code in (("01890000-0000-7000-8000-000000000000", "does_not_exist"), ("x", "invalid_input"), (None, "null")):
        refused = await served.client.patch("/api/users/@me/", json={"set_current_organization": value})
        assert (refused.status_code, refused.json()["code"], refused.json()["attr"]) == (400, code, "set_current_organization")


async def test_flags_are_those_that_the_operator_has_switched_on(connected: Connected, served: Served) -> None:
    flags = f"{connected.project}feature_flags/"
    assert await connected.get(flags, key="tasks") == {"results": [{"key": "tasks", "active": True}]}
    assert await connected.get(flags, key="other") == {"results": []}
    assert len((await connected.get(flags))["results"]) == 2
    assert (await served.client.get(f"/api/projects/{served.project.id}/feature_flags/?key=tasks")).json() == {"results": []}


async def test_a_run_token_picks_nothing(connected: Connected) -> None:
    _, run = await connected.served.a_run()
    token = run_tokens.mint(connected.served.backends.rules.secrets[0], UUID(run["id"]), 0)
    headers = {"Authorization": f"Bearer {token}"}
    for path in (f"{connected.project}integrations/", f"{connected.integration}github_repos/", "/api/users/@me/integrations/"):
        assert (await connected.served.client.get(path, headers=headers)).status_code == 403


async def test_a_token_that_comes_with_a_run_is_shown_nowhere(connected: Connected) -> None:
    served = connected.served
    task = await served.a_task()
    body = {"pr_authorship_mode": "user", "github_user_token": TOKEN}
    created = await served.client.post(f"{served.tasks}{task['id']}/run/", json=body, headers={"Idempotency-Key": "once"})
    run = created.json()["latest_run"]
    assert (created.status_code, run["state"]["github_credential_source"]) == (200, "caller_token")
    patched = await served.client.patch(
        f"{served.tasks}{task['id']}/runs/{run['id']}/",
        json={"state": {"github_credential_source": "x"}, "state_remove_keys": ["github_credential_source"]},
    )
    assert patched.json()["state"]["github_credential_source"] == "caller_token"
    for text in (created.text, patched.text, (await served.client.get(f"{served.tasks}{task['id']}/")).text):
        assert TOKEN not in text
    assert TOKEN not in repr(TaskRunStart.model_validate(body))
