"""Who calls, and whether they may."""

from hedgerow.domain.access import Caller, PersonalCaller, Project, Scope
from hedgerow.domain.runs import TaskRun
from hedgerow.operations.backends import Backends


async def authenticate(backends: Backends, token: str | None) -> Caller:
    """The caller that a personal key or a run token stands for.

    Raises UnauthenticatedError with detail_code `not_authenticated` (no token) or `authentication_failed`. The epoch of a
    run token is checked by the operations, against the run they touch.
    """
    raise NotImplementedError


async def project(backends: Backends, caller: Caller, project_ref: str) -> Project:
    """The project of a URL: an integer, or `@current`.

    Raises NotFoundError where there is none, ForbiddenError where the caller is no member or the key is limited to others.
    A run token sees the project of its own run only.
    """
    raise NotImplementedError


def require(caller: Caller, scope: Scope) -> None:
    """Raise ForbiddenError, naming the scope, where the caller's key lacks it. Run tokens are limited by each operation instead."""
    raise NotImplementedError


def person(caller: Caller) -> PersonalCaller:
    """The caller as a person; ForbiddenError for a run token, which may only read and write its own run."""
    raise NotImplementedError


def check_epoch(caller: Caller, run: TaskRun) -> None:
    """Raise ForbiddenError where a run token was replaced by a newer one."""
    raise NotImplementedError
