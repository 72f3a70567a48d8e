import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import httpx
import pytest

from hedgerow.client.certificates import certificates
from hedgerow.domain.errors import HedgerowError, LimitExceededError, NotFoundError, RefusedError, TimedOutError, UnavailableError
from hedgerow.domain.github import GitHubAccount, GitHubRepository, is_repository
from hedgerow.integrations.github import GitHub, GitHubApp, GitHubOptions, TokenRefusedError
from tests.integrations.fake_github import FakeGitHub, account, app, repository

TOKEN = "ghp_0123456789abcdef"


@pytest.fixture
async def github(fake_github: FakeGitHub) -> AsyncIterator[GitHub]:
    fake_github.people[TOKEN] = account(7, "ada", name="Ada <Lovelace>")
    fake_github.repositories[TOKEN] = [repository(2, "acme/web"), repository(1, "acme/API")]
    fake_github.branches["acme/web"] = ["dev", "main"]
    async with httpx.AsyncClient(trust_env=False, verify=certificates()) as http:
        yield GitHub(http, GitHubOptions(api_url=fake_github.url, app=app()))


def limited(github: GitHub, limit: int) -> GitHub:
    return replace(github, options=replace(github.options, list_limit=limit))


async def test_a_token_tells_whose_it_is(github: GitHub) -> None:
    found = await github.account(TOKEN)
    assert found == GitHubAccount(id=7, login="ada", type="User", name="Ada <Lovelace>")
    assert found.author == ("Ada  Lovelace", "7+ada@users.noreply.github.com")


async def test_repositories_are_listed_by_name(github: GitHub) -> None:
    assert await github.repositories(TOKEN, of_installation=False) == [
        GitHubRepository(id=1, name="API", full_name="acme/API"),
        GitHubRepository(id=2, name="web", full_name="acme/web"),
    ]


async def test_every_page_is_read_up_to_the_limit(github: GitHub, fake_github: FakeGitHub) -> None:
    fake_github.repositories[TOKEN] = [repository(number, f"acme/r{number:04}") for number in range(250)]

    assert len(await github.repositories(TOKEN, of_installation=False)) == 250
    assert len(fake_github.asked) == 3
    assert len(await limited(github, 120).repositories(TOKEN, of_installation=False)) == 120
    assert len(fake_github.asked) == 5


async def test_the_default_branch_is_among_the_branches_that_are_listed(github: GitHub, fake_github: FakeGitHub) -> None:
    found = await github.branches(TOKEN, "acme/web")
    assert (found.names, found.default) == (("dev", "main"), "main")

    cut = await limited(github, 1).branches(TOKEN, "acme/web")
    assert (cut.names, cut.default) == (("main", "dev"), "main")

    fake_github.branches["acme/web"] = []
    empty = await github.branches(TOKEN, "acme/web")
    assert (empty.names, empty.default) == ((), None)


async def test_what_the_token_does_not_open_is_not_found(github: GitHub) -> None:
    with pytest.raises(NotFoundError):
        await github.branches(TOKEN, "acme/secret")


async def test_an_installation_of_the_app_gets_tokens(github: GitHub, fake_github: FakeGitHub) -> None:
    fake_github.installations["42"] = account(9, "acme", type="Organization")
    fake_github.repositories["installation 42"] = [repository(3, "acme/inner")]

    assert await github.installation("42") == GitHubAccount(id=9, login="acme", type="Organization")
    made = await github.installation_token("42")

    assert made.value not in repr(made)
    assert [found.full_name for found in await github.repositories(made.value, of_installation=True)] == ["acme/inner"]
    assert await github.install_url() == f"{fake_github.url}/apps/hedge/installations/new"
    with pytest.raises(NotFoundError):
        await github.installation("43")


async def test_without_an_app_there_are_no_installations(github: GitHub) -> None:
    bare = replace(github, options=replace(github.options, app=None))
    with pytest.raises(RefusedError, match="HEDGEROW_GITHUB_APP_ID"):
        await bare.installation("42")


async def test_a_key_that_is_none_is_not_shown(github: GitHub) -> None:
    broken = replace(github, options=replace(github.options, app=GitHubApp(id="1", private_key="s3cret words")))
    with pytest.raises(UnavailableError, match="HEDGEROW_GITHUB_APP_PRIVATE_KEY") as failure:
        await broken.install_url()
    assert "s3cret" not in f"{failure.value!r} {broken!r}"


@pytest.mark.parametrize(
    ("answer", "error", "words", "wait"),
    [
        ((401, {}, b'{"message": "Bad credentials"}'), TokenRefusedError, "does not take the token", None),
        ((403, {"Retry-After": "30"}, b'{"message": "secondary"}'), LimitExceededError, "in 30 seconds", 30),
        ((429, {}, b'{"message": "slow down"}'), LimitExceededError, "later", None),
        ((403, {}, b'{"message": "Resource not accessible with ghp_0123456789abcdef"}'), RefusedError, r"not accessible with \*\*\*", None),
        ((404, {}, b'{"message": "Not Found"}'), NotFoundError, "does not know", None),
        ((422, {}, b"no json"), UnavailableError, "not understood", None),
        ((500, {}, b'{"message": "ghp_0123456789abcdef"}'), UnavailableError, "status 500", None),
        ((502, {"Content-Type": "text/html"}, b"<html>"), UnavailableError, "status 502", None),
        ((200, {}, b'{"login": 7}'), UnavailableError, "not understood", None),
        ((200, {}, b"[]"), UnavailableError, "not understood", None),
        ((200, {}, b"{{{"), UnavailableError, "not understood", None),
        ((200, {"Content-Type": "application/json; charset=klingon"}, b"{}"), UnavailableError, "not understood", None),
        ((599, {}, b""), UnavailableError, "not understood|status 599", None),
    ],
)
async def test_what_goes_wrong_is_told_without_the_token(
    github: GitHub,
    fake_github: FakeGitHub,
    answer: tuple[int, dict[str, str], bytes],
    error: type[HedgerowError],
    words: str,
    wait: int | None,
) -> None:
    fake_github.answers.append(answer)
    with pytest.raises(error, match=words) as failure:
        await github.account(TOKEN)
    assert TOKEN not in f"{failure.value!r} {failure.value.__cause__!r}"
    assert getattr(failure.value, "retry_after_seconds", None) == wait


async def test_a_used_up_allowance_says_when_it_is_renewed(github: GitHub, fake_github: FakeGitHub) -> None:
    reset = int(time.time()) + 600
    headers = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset)}
    fake_github.answers.append((403, headers, b'{"message": "API rate limit exceeded"}'))
    with pytest.raises(LimitExceededError) as failure:
        await github.account(TOKEN)
    assert failure.value.retry_after_seconds is not None
    assert 0 < failure.value.retry_after_seconds <= 600


async def test_silence_has_an_end(github: GitHub, fake_github: FakeGitHub) -> None:
    fake_github.silence.clear()
    quick = replace(github, options=replace(github.options, timeout_seconds=0.1))
    with pytest.raises(TimedOutError, match=r"0\.1 seconds"):
        await quick.account(TOKEN)


async def test_a_host_that_is_not_there_is_told(github: GitHub) -> None:
    nowhere = replace(github, options=replace(github.options, api_url="http://127.0.0.1:9"))
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await nowhere.account(TOKEN)


async def test_no_token_follows_a_page_to_another_host(github: GitHub, fake_github: FakeGitHub) -> None:
    elsewhere = fake_github.url.replace("127.0.0.1", "localhost")
    fake_github.answers.append((200, {"Link": f'<{elsewhere}/user/repos?page=2>; rel="next"'}, b"[]"))
    with pytest.raises(UnavailableError, match="another host"):
        await github.repositories(TOKEN, of_installation=False)
    assert len(fake_github.asked) == 1


async def test_a_repository_that_was_renamed_is_found(github: GitHub, fake_github: FakeGitHub) -> None:
    fake_github.answers.append((301, {"Location": f"{fake_github.url}/repos/acme/web"}, b"{}"))
    assert (await github.branches(TOKEN, "acme/web")).default == "main"


async def test_an_answer_without_end_is_cut(github: GitHub, fake_github: FakeGitHub) -> None:
    fake_github.answers.append((200, {}, b"[" + b" " * (17 * 2**20) + b"]"))
    with pytest.raises(UnavailableError, match="more than 16 MiB"):
        await github.account(TOKEN)


async def test_a_question_that_is_given_up_leaves_nothing_behind(github: GitHub, fake_github: FakeGitHub) -> None:
    fake_github.silence.clear()
    asking = asyncio.create_task(github.account(TOKEN))
    assert await asyncio.to_thread(fake_github.heard.wait, 30)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    fake_github.silence.set()
    assert (await github.account(TOKEN)).login == "ada"


@pytest.mark.parametrize("ask", [lambda github: github.account("x"), lambda github: github.repositories("x", of_installation=False)])
async def test_a_strangers_token_is_refused(github: GitHub, ask: Callable[[GitHub], Awaitable[object]]) -> None:
    with pytest.raises(TokenRefusedError):
        await ask(github)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("acme/web", True), ("a.b/c-d_e.f", True), ("acme", False), ("a/b/c", False), ("../web", False), ("acme/..", False), ("a/b c", False)],
)
def test_names_of_repositories(name: str, is_one: bool) -> None:
    assert is_repository(name) is is_one
