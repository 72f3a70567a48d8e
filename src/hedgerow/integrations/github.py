"""GitHub's REST API, as far as hedgerow asks it: who a token belongs to, which repositories and branches it opens, tokens of an App."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from gidgethub import GitHubException, HTTPException
from gidgethub.abc import GitHubAPI
from gidgethub.apps import get_jwt

from hedgerow.domain.errors import (
    HedgerowError,
    LimitExceededError,
    NotFoundError,
    PassingError,
    RefusedError,
    TimedOutError,
    UnavailableError,
)
from hedgerow.domain.github import GitHubAccount, GitHubBranches, GitHubRepository
from hedgerow.domain.masking import MASK

Read = TypeVar("Read")

_ANSWER_BYTES = 16 * 2**20
_PAGE = 100  # the most that GitHub gives at once
_DETAIL_LIMIT = 300
_PATIENCE = 6  # how many times as long as one answer a whole list may take
_JWT_SECONDS = 540  # GitHub takes ten minutes at most


class TokenRefusedError(RefusedError):
    """GitHub does not take the token, or not any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubApp:
    """The GitHub App that the operator has registered."""

    id: str
    private_key: str = field(repr=False)  # PEM


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubOptions:
    """What the operator has decided about GitHub."""

    api_url: str = "https://api.github.com"
    url: str = "https://github.com"  # where people and git find it
    app: GitHubApp | None = None
    timeout_seconds: float = 10.0  # for one answer
    list_limit: int = 5000  # how many repositories or branches are listed at most
    list_age_seconds: float = 600.0  # how old a list may be


@dataclass(frozen=True, slots=True)
class InstallationToken:
    """A token of an App's installation, and until when it is taken."""

    value: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class GitHub:
    """Asks GitHub, each time with the credentials it is given.

    Every method raises TokenRefusedError, RefusedError (not allowed), NotFoundError, LimitExceededError (too many questions, with
    the seconds to wait), TimedOutError and UnavailableError. No error holds a token.
    """

    http: httpx.AsyncClient
    options: GitHubOptions

    async def account(self, token: str) -> GitHubAccount:
        """Who a personal token belongs to."""
        return await self._ask(token, lambda api: api.getitem("/user", oauth_token=token), _account)

    async def repositories(self, token: str, *, of_installation: bool) -> list[GitHubRepository]:
        """The repositories that a token opens, by name; at most as many as the options allow."""
        path = "/installation/repositories" if of_installation else "/user/repos"
        found = await self._list(token, f"{path}?per_page={_PAGE}", {}, _repository)
        return sorted(found, key=lambda repository: repository.full_name.casefold())

    async def branches(self, token: str, repository: str) -> GitHubBranches:
        """The branches of `organisation/repository`, by name; at most as many as the options allow, the default one always among them."""
        owner, _, name = repository.partition("/")
        names = {"owner": owner, "repo": name}
        default = await self._ask(token, lambda api: api.getitem("/repos/{owner}/{repo}", names, oauth_token=token), _default_branch)
        found = await self._list(token, "/repos/{owner}/{repo}/branches?per_page=" + str(_PAGE), names, _name)
        if not found:
            return GitHubBranches(names=(), default=None)  # an empty repository: GitHub names a default branch that is yet to be
        return GitHubBranches(names=tuple(found if default in found else (default, *found)), default=default)

    async def installation(self, installation_id: str) -> GitHubAccount:
        """The account that the App is installed on. Raises RefusedError where there is no App."""
        signed = self._signed()
        return await self._ask(
            signed,
            lambda api: api.getitem("/app/installations/{id}", {"id": installation_id}, jwt=signed),
            lambda found: _account(found["account"]),
        )

    async def installation_token(self, installation_id: str) -> InstallationToken:
        """A new token of an installation of the App; GitHub makes them for an hour. Raises RefusedError where there is no App."""
        signed = self._signed()
        path = "/app/installations/{id}/access_tokens"
        return await self._ask(signed, lambda api: api.post(path, {"id": installation_id}, data=b"", jwt=signed), _installation_token)

    async def install_url(self) -> str:
        """Where a person installs the App. Raises RefusedError where there is no App."""
        signed = self._signed()
        return await self._ask(
            signed, lambda api: api.getitem("/app", jwt=signed), lambda found: f"{_text(found, 'html_url')}/installations/new"
        )

    def _signed(self) -> str:
        """What the App proves itself with."""
        app = self.options.app
        if app is None:
            raise RefusedError("No GitHub App is configured here: HEDGEROW_GITHUB_APP_ID and HEDGEROW_GITHUB_APP_PRIVATE_KEY name one.")
        try:
            return get_jwt(app_id=app.id, private_key=app.private_key, expiration=_JWT_SECONDS)
        except Exception:  # noqa: BLE001 - whatever is wrong with a key, nothing of it may be shown
            raise UnavailableError("HEDGEROW_GITHUB_APP_PRIVATE_KEY is no private RSA key in PEM form.") from None

    async def _list(self, token: str, path: str, names: Mapping[str, str], read: Callable[[Any], Read]) -> list[Read]:
        async def collect(api: GitHubAPI) -> list[Any]:
            found: list[Any] = []
            async with asyncio.timeout(_PATIENCE * self.options.timeout_seconds):
                async for item in api.getiter(path, names, oauth_token=token, iterable_key="repositories"):
                    found.append(item)
                    if len(found) >= self.options.list_limit:
                        break
            return found

        return await self._ask(token, collect, lambda items: [read(item) for item in items])

    async def _ask(self, secret: str, ask: Callable[[GitHubAPI], Awaitable[Any]], read: Callable[[Any], Read]) -> Read:
        """Ask, and read the answer. `secret` is what the question is asked with."""
        try:
            return read(await ask(_Api(self.http, self.options)))
        except HTTPException as error:
            raise _refusal(error, secret) from None
        except TimeoutError:
            raise TimedOutError(f"GitHub did not answer in time: {self.options.timeout_seconds:g} seconds for each answer.") from None
        except httpx.HTTPError as error:
            raise PassingError(f"GitHub cannot be reached at {self.options.api_url}: {type(error).__name__}.") from None
        except (GitHubException, AttributeError, LookupError, RecursionError, TypeError, ValueError, httpx.InvalidURL):
            raise UnavailableError(f"What {self.options.api_url} answered is not understood.") from None


class _Api(GitHubAPI):
    """gidgethub over our client: an answer has a limit in time and size, and a token goes to the API's own host alone."""

    def __init__(self, http: httpx.AsyncClient, options: GitHubOptions) -> None:
        super().__init__("hedgerow", base_url=options.api_url)
        self._http = http
        self._options = options

    async def _request(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> tuple[int, Mapping[str, str], bytes]:
        if _place(url) != _place(self._options.api_url):
            raise UnavailableError(f"{self._options.api_url} points to a page on another host, which is not followed.")
        async with asyncio.timeout(self._options.timeout_seconds):
            # A repository that was renamed is found under its new address; httpx shows no token to another host.
            stream = self._http.stream(method, url, headers=dict(headers), content=body, timeout=None, follow_redirects=method == "GET")
            async with stream as response:
                content = bytearray()
                async for part in response.aiter_bytes():
                    content += part
                    if len(content) > _ANSWER_BYTES:
                        raise UnavailableError(f"{self._options.api_url} answered with more than {_ANSWER_BYTES // 2**20} MiB.")
                return response.status_code, response.headers, bytes(content)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _place(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _refusal(error: HTTPException, secret: str) -> HedgerowError:
    """What an answer that is no success means."""
    status = int(error.status_code)
    wait = _seconds_to_wait(error.headers)
    if status == 429 or (status == 403 and wait is not None):
        return LimitExceededError(
            "GitHub has been asked too often; " + (f"try again in {wait} seconds." if wait else "try again later."),
            retry_after_seconds=wait,
        )
    if status == 401:
        return TokenRefusedError("GitHub does not take the token: it has expired or was revoked. Connect or link the account anew.")
    if status == 404:
        return NotFoundError("GitHub does not know it, or its credentials here do not open it.")
    said = " ".join(str(error).replace(secret, MASK).split())[:_DETAIL_LIMIT]
    if status < 500:
        return RefusedError(f"GitHub refuses: {said}")
    return PassingError(f"GitHub failed with status {status}.")


def _seconds_to_wait(headers: Mapping[str, str]) -> int | None:
    """How long GitHub wants to be left alone; None where it did not say that it was asked too often."""
    after = headers.get("retry-after", "")
    if after.isdecimal() and len(after) < 9:
        return int(after)
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal() and len(reset) < 12:
        return max(1, int(reset) - int(datetime.now(UTC).timestamp()))
    return None


def _text(found: Any, name: str) -> str:
    value = found[name]
    if not isinstance(value, str) or not value:
        raise ValueError(name)
    return value


def _number(found: Any, name: str) -> int:
    value = found[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(name)
    return value


def _account(found: Any) -> GitHubAccount:
    name = found.get("name")
    return GitHubAccount(
        id=_number(found, "id"), login=_text(found, "login"), type=_text(found, "type"), name=name if isinstance(name, str) else None
    )


def _repository(found: Any) -> GitHubRepository:
    return GitHubRepository(id=_number(found, "id"), name=_text(found, "name"), full_name=_text(found, "full_name"))


def _name(found: Any) -> str:
    return _text(found, "name")


def _default_branch(found: Any) -> str:
    return _text(found, "default_branch")


def _installation_token(found: Any) -> InstallationToken:
    return InstallationToken(_text(found, "token"), datetime.fromisoformat(_text(found, "expires_at")))
