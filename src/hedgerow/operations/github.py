"""GitHub: connecting projects, linking people, what the pickers show (contract 11.2), and which credentials a run works with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from hedgerow.db import github, integrations, projects, users
from hedgerow.domain.access import Caller, Project
from hedgerow.domain.audit import ActorKind, AuditAction
from hedgerow.domain.errors import InvalidError, NotFoundError, UnavailableError
from hedgerow.domain.github import GitHubBranches, GitHubLink, GitHubRepository, is_repository
from hedgerow.domain.ids import uuid7
from hedgerow.domain.integrations import Integration, IntegrationKind
from hedgerow.integrations.github import GitHub, TokenRefusedError
from hedgerow.operations import access, audit, sealing
from hedgerow.operations import integrations as connections
from hedgerow.operations.backends import Backends
from hedgerow.operations.remembered import Dated

_EARLY = timedelta(minutes=5)
"""How long before its end an installation's token is not used any more: whoever gets it still has to work with it."""

_LONGEST_TOKEN = 1024

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Opened:
    """Credentials in the clear. `owner` names them, for what is remembered."""

    token: str = field(repr=False)
    of_installation: bool
    owner: tuple[str, str]


def api(backends: Backends) -> GitHub:
    """GitHub, as the operator's settings say."""
    return GitHub(backends.outside or backends.http, backends.rules.github)


async def connect(backends: Backends, project_id: int, *, token: str | None, installation_id: str | None, name: str = "") -> Integration:
    """Connect a project through a token, or through an installation of the operator's GitHub App. GitHub is asked whether they are good.

    Raises NotFoundError for an unknown project, InvalidError (attr `token`, `installation`), and what `GitHub` raises.
    """
    async with backends.database.statement() as tx:
        if await projects.load(tx, project_id) is None:
            raise NotFoundError(f"There is no project {project_id}.")
    if installation_id is not None:
        if not (installation_id.isascii() and installation_id.isdecimal() and len(installation_id) < 20):
            raise InvalidError("The id of an installation is a number.", attr="installation", detail_code="invalid_input")
        account, sound = await api(backends).installation(installation_id), None
    else:
        sound = _sound(token or "")
        account = await api(backends).account(sound)
    config = {"account": {"type": account.type, "name": account.login}}
    return await connections.connect(
        backends,
        project_id,
        IntegrationKind.GITHUB,
        display_name=name.strip() or account.login,
        secret=sound,
        config=config if installation_id is None else config | {"installation_id": installation_id},
    )


async def link(backends: Backends, *, email: str, token: str) -> GitHubLink:
    """Link a person with the GitHub account of a token of theirs; a link they have already gets the new token.

    Raises NotFoundError for an unknown person, InvalidError (attr `token`), and what `GitHub` raises.
    """
    sound = _sound(token)
    user_id = await _user_id(backends, email)
    account = await api(backends).account(sound)
    now = backends.clock.now()
    async with backends.database.transaction() as tx:
        linked = await github.link(tx, uuid7(int(now.timestamp() * 1000)), user_id, account, now)
        sealed = sealing.seal(backends.rules.secrets[0], _purpose(linked.id), sound.encode())
        await github.keep_link_token(tx, linked.id, sealed)
        await audit.note(backends, tx, ActorKind.OPERATOR, AuditAction.GITHUB_LINK, subject=user_id, link=str(linked.id))
        return replace(linked, sealed_token=sealed)


async def unlink(backends: Backends, *, email: str) -> None:
    """Forget a person's link with its token. Raises NotFoundError."""
    user_id = await _user_id(backends, email)
    async with backends.database.transaction() as tx:
        if not await github.unlink(tx, user_id):
            raise NotFoundError(f"{email} has no linked GitHub account.")
        await audit.note(backends, tx, ActorKind.OPERATOR, AuditAction.GITHUB_UNLINK, subject=user_id)


async def _user_id(backends: Backends, email: str) -> int:
    async with backends.database.statement() as tx:
        user = await users.find(tx, email.strip())
    if user is None:
        raise NotFoundError(f"There is no person with the e-mail address {email}.")
    return user.id


def _sound(token: str) -> str:
    """A token without the white space around it. What could break out of a header or of git's credential protocol is none."""
    sound = token.strip()
    if not sound or len(sound) > _LONGEST_TOKEN or not sound.isascii() or not sound.isprintable() or " " in sound:
        raise InvalidError("This is no token of GitHub: it is one word of plain characters.", attr="token", detail_code="invalid_input")
    return sound


async def own_link(backends: Backends, caller: Caller) -> GitHubLink | None:
    """The caller's own link."""
    who = access.person(caller)
    async with backends.database.statement() as tx:
        return await github.link_of(tx, who.user.id)


async def install_url(backends: Backends, caller: Caller, project_ref: str | None) -> str:
    """Where the caller installs the operator's GitHub App. Raises InvalidError, saying what to do, where there is none.

    `project_ref` is the project that they do it for, if they say so; NotFoundError, ForbiddenError where it is not theirs.
    """
    access.person(caller)
    if project_ref is not None:
        await access.project(backends, caller, project_ref)
    if backends.rules.github.app is None:
        raise InvalidError(
            "No GitHub App is configured here. An operator links a person's account with `hedgerow admin link-github`,"
            " and connects a project with `hedgerow admin connect-github`.",
            detail_code="invalid_input",
        )

    async def ask() -> Dated[str]:
        return Dated(await api(backends).install_url(), backends.clock.now() + _age(backends))

    return await backends.github.install_urls.get("app", ask, backends.clock)


async def repositories_of_project(
    backends: Backends, caller: Caller, project: Project, integration_id: int, *, renew: bool = False
) -> list[GitHubRepository]:
    """The repositories that a project's integration opens, by name. `renew`: as GitHub says now, not as it was remembered."""
    opened = await _of_project(backends, caller, project, integration_id)
    return await _repositories(backends, opened, renew=renew)


async def branches_of_project(
    backends: Backends, caller: Caller, project: Project, integration_id: int, repository: str | None
) -> GitHubBranches:
    """The branches of a repository that a project's integration opens. Raises InvalidError (attr `repo`)."""
    sound = _repository(repository)
    return await _branches(backends, await _of_project(backends, caller, project, integration_id), sound)


async def repositories_of_person(backends: Backends, caller: Caller, link_id: UUID, *, renew: bool = False) -> list[GitHubRepository]:
    """The repositories that the caller's own link opens."""
    linked = await _own(backends, caller, link_id)
    return await _watched(backends, linked, lambda: _repositories(backends, open_link(backends, linked), renew=renew))


async def branches_of_person(backends: Backends, caller: Caller, link_id: UUID, repository: str | None) -> GitHubBranches:
    """The branches of a repository that the caller's own link opens. Raises InvalidError (attr `repo`)."""
    sound = _repository(repository)
    linked = await _own(backends, caller, link_id)
    return await _watched(backends, linked, lambda: _branches(backends, open_link(backends, linked), sound))


async def _of_project(backends: Backends, caller: Caller, project: Project, integration_id: int) -> Opened:
    access.person(caller)
    async with backends.database.statement() as tx:
        integration = await integrations.load(tx, project.id, integration_id)
    if integration is None or integration.kind is not IntegrationKind.GITHUB:
        raise NotFoundError("This project has no such GitHub integration.")
    return await open_integration(backends, integration)


async def _own(backends: Backends, caller: Caller, link_id: UUID) -> GitHubLink:
    linked = await own_link(backends, caller)
    if linked is None or linked.id != link_id:
        raise NotFoundError("This GitHub account is not linked with you.")
    return linked


async def _watched(backends: Backends, linked: GitHubLink, ask: Callable[[], Awaitable[Found]]) -> Found:
    """Ask with a link's token, and note where GitHub does not take it any more: no run counts on it then."""
    try:
        return await ask()
    except TokenRefusedError:
        async with backends.database.transaction() as tx:
            await github.refuse_link(tx, linked, backends.clock.now())
        raise


def _repository(name: str | None) -> str:
    sound = (name or "").strip()
    if not sound:
        raise InvalidError("This field is required.", attr="repo", detail_code="required")
    if not is_repository(sound):
        raise InvalidError("A repository is written as organisation/repository.", attr="repo", detail_code="invalid_input")
    return sound.lower()


async def _repositories(backends: Backends, opened: Opened, *, renew: bool) -> list[GitHubRepository]:
    async def ask() -> Dated[list[GitHubRepository]]:
        found = await api(backends).repositories(opened.token, of_installation=opened.of_installation)
        return Dated(found, backends.clock.now() + _age(backends))

    return await backends.github.repositories.get(opened.owner, ask, backends.clock, renew=renew)


async def _branches(backends: Backends, opened: Opened, repository: str) -> GitHubBranches:
    async def ask() -> Dated[GitHubBranches]:
        return Dated(await api(backends).branches(opened.token, repository), backends.clock.now() + _age(backends))

    return await backends.github.branches.get((opened.owner, repository), ask, backends.clock)


def _age(backends: Backends) -> timedelta:
    return timedelta(seconds=backends.rules.github.list_age_seconds)


def usable(backends: Backends, integration: Integration) -> bool:
    """Whether an integration has credentials that a run may count on."""
    return integration.sealed_secret is not None or ("installation_id" in integration.config and backends.rules.github.app is not None)


async def open_integration(backends: Backends, integration: Integration) -> Opened:
    """A project's credentials: its token, or one that GitHub makes for the App's installation. Raises what `GitHub` raises."""
    owner = ("integration", str(integration.id))
    secret = connections.secret_of(backends, integration)
    if secret is not None:
        return Opened(secret, of_installation=False, owner=owner)
    installation_id = integration.config.get("installation_id")
    if not isinstance(installation_id, str):
        raise UnavailableError(f"The integration {integration.display_name} has no credentials: connect it anew.")

    async def ask() -> Dated[str]:
        made = await api(backends).installation_token(installation_id)
        return Dated(made.value, made.expires_at - _EARLY)

    token = await backends.github.installation_tokens.get(installation_id, ask, backends.clock)
    return Opened(token, of_installation=True, owner=owner)


def open_link(backends: Backends, linked: GitHubLink) -> Opened:
    """A person's credentials. Raises UnavailableError where our secret key does not open them."""
    if linked.sealed_token is None:
        raise UnavailableError("This GitHub account has no token: link it anew.")
    token = sealing.unseal(backends.rules.secrets, _purpose(linked.id), linked.sealed_token).decode()
    # What was remembered for an earlier token of this link is not this one's: what is sealed begins with a number used once.
    return Opened(token, of_installation=False, owner=("link", f"{linked.id} {linked.sealed_token[:12].hex()}"))


def _purpose(link_id: UUID) -> str:
    return f"token of GitHub link {link_id}"
