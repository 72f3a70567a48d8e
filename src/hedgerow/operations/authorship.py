"""Whose pull requests a run makes, and with which credentials for GitHub it works (contract 3.6 step 5, 5.6)."""

from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from hedgerow.db import github, integrations, tasks
from hedgerow.db.database import Transaction
from hedgerow.domain.access import PersonalCaller
from hedgerow.domain.errors import HedgerowError, InvalidError
from hedgerow.domain.github import TOKEN_KEPT, CredentialSource, GitHubLink
from hedgerow.domain.integrations import Integration, IntegrationKind
from hedgerow.domain.runs import TaskRun
from hedgerow.domain.tasks import Task
from hedgerow.operations import sealing
from hedgerow.operations.backends import Backends
from hedgerow.operations.github import api, open_integration, open_link, usable

_MODE, _SOURCE = "pr_authorship_mode", "github_credential_source"

_log = structlog.get_logger()


async def resolve(backends: Backends, tx: Transaction, who: PersonalCaller, task: Task, *, with_token: bool = False) -> dict[str, str]:
    """The keys of `state` of a run whose pull requests are to be the caller's.

    The caller's own token, else their linked account, which is noted on the task; else the project's integration, whose pull requests
    are the bot's. Raises InvalidError (attr `pr_authorship_mode`) where there is nothing, or the caller has not made the task.
    """
    if with_token:
        return {_MODE: "user", _SOURCE: CredentialSource.CALLER_TOKEN.value}
    if task.created_by is None or task.created_by.id != who.user.id:
        raise _refused("Only the task's creator can author its pull requests.")
    linked = await github.link_of(tx, who.user.id, lock=True)
    if linked is not None and linked.usable:
        await _note_link(backends, tx, task, linked)
        return {_MODE: "user", _SOURCE: CredentialSource.SERVER_INTEGRATION.value}
    if await _usable_integration(backends, tx, task.project_id, task.github_integration) is not None:
        return {_MODE: "bot", _SOURCE: CredentialSource.SERVER_INTEGRATION.value}
    raise _refused("Authoring pull requests yourself needs a GitHub account that is linked here, or a github_user_token.")


async def _note_link(backends: Backends, tx: Transaction, task: Task, linked: GitHubLink) -> None:
    if task.github_user_integration != linked.id:
        updated_at = max(backends.clock.now(), task.updated_at + timedelta(milliseconds=1))
        await tasks.change(tx, task.id, {"github_user_integration": linked.id, "updated_at": updated_at})


def _refused(message: str) -> InvalidError:
    return InvalidError(message, attr=_MODE, detail_code="github_authorization_required")


async def keep_token(backends: Backends, tx: Transaction, run: TaskRun, token: str | None) -> None:
    """Keep the token that came with a new run, encrypted, where the run works with it."""
    if token is None or run.state.get(_SOURCE) != CredentialSource.CALLER_TOKEN.value:
        return
    sealed = sealing.seal(backends.rules.secrets[0], _purpose(run), token.encode())
    await github.keep_run_token(tx, run.id, sealed, backends.clock.now() + TOKEN_KEPT)


def _purpose(run: TaskRun) -> str:
    return f"GitHub token of run {run.id}"


async def _integration(tx: Transaction, project_id: int, integration_id: int | None) -> Integration | None:
    """The integration that a task names, else the project's first."""
    if integration_id is not None:
        return await integrations.load(tx, project_id, integration_id)
    return next(iter(await integrations.of_project(tx, project_id, IntegrationKind.GITHUB)), None)


@dataclass(frozen=True, slots=True)
class RunToken:
    """A token that came with a run."""

    run: TaskRun
    sealed: bytes = field(repr=False)


Credentials = Integration | GitHubLink | RunToken
"""What a run works with on GitHub. Nothing of it is opened before it is used, since that may mean to ask GitHub."""


async def credentials_of(backends: Backends, run: TaskRun) -> Credentials | None:
    """The credentials for GitHub that a run works with; None where there are none, or none any more."""
    async with backends.database.statement() as tx:
        integration_id, link_id = await github.of_task(tx, run.task_id)
        if run.state.get(_MODE) != "user":
            return await _usable_integration(backends, tx, run.project_id, integration_id)
        if run.state.get(_SOURCE) == CredentialSource.CALLER_TOKEN.value:
            sealed = await github.run_token(tx, run.id, backends.clock.now())
            return None if sealed is None else RunToken(run, sealed)
        linked = None if link_id is None else await github.load_link(tx, link_id)
        return linked if linked is not None and linked.usable else None


async def credentials_of_project(backends: Backends, project_id: int) -> Credentials | None:
    """The credentials for GitHub that a project works with where no task is concerned; None where it has none."""
    async with backends.database.statement() as tx:
        return await _usable_integration(backends, tx, project_id, None)


async def _usable_integration(backends: Backends, tx: Transaction, project_id: int, integration_id: int | None) -> Integration | None:
    integration = await _integration(tx, project_id, integration_id)
    return integration if integration is not None and usable(backends, integration) else None


def agent_gets_token(run: TaskRun) -> bool:
    """Whether the agent itself works with the token: only where the run was asked for pull requests, by whomever."""
    return run.state.get(_MODE) in {"user", "bot"}


async def token_of(backends: Backends, credentials: Credentials) -> str:
    """The token in the clear. Raises UnavailableError where it cannot be opened, and what `GitHub` raises where it is made there."""
    if isinstance(credentials, Integration):
        return (await open_integration(backends, credentials)).token
    if isinstance(credentials, GitHubLink):
        return open_link(backends, credentials).token
    return sealing.unseal(backends.rules.secrets, _purpose(credentials.run), credentials.sealed).decode()


async def author_of(backends: Backends, credentials: Credentials) -> tuple[str, str] | None:
    """Name and mail address of the person whose commits the run makes; None where they are nobody's, or GitHub does not say."""
    if isinstance(credentials, Integration):
        return None
    if isinstance(credentials, GitHubLink):
        return credentials.account.author
    try:
        return (await api(backends).account(await token_of(backends, credentials))).author
    except HedgerowError as problem:
        _log.warning("GitHub does not say whose commits these are", run_id=str(credentials.run.id), reason=problem.message)
        return None
