"""Services that a project is connected with, and their secrets."""

from collections.abc import Mapping
from typing import Any

from hedgerow.db import integrations, projects
from hedgerow.db.database import Transaction
from hedgerow.db.integrations import NewIntegration
from hedgerow.domain.access import Caller, Project
from hedgerow.domain.audit import Actor, ActorKind, AuditAction
from hedgerow.domain.errors import NotFoundError
from hedgerow.domain.integrations import Integration, IntegrationKind
from hedgerow.operations import access, audit, sealing
from hedgerow.operations.backends import Backends


async def connect(
    backends: Backends,
    project_id: int,
    kind: IntegrationKind,
    *,
    display_name: str,
    secret: str | None = None,
    config: Mapping[str, Any] | None = None,
    created_by: int | None = None,
    alone: bool = False,
    actor: Actor = ActorKind.OPERATOR,
) -> Integration:
    """Connect a project with a service. The secret is stored encrypted, and no answer ever holds it.

    `alone`: in the place of whatever integrations of the kind the project has.
    """
    new = NewIntegration(
        project_id=project_id,
        kind=kind,
        display_name=display_name,
        created_at=backends.clock.now(),
        config=dict(config or {}),
        created_by=created_by,
    )
    async with backends.database.transaction() as tx:
        if alone:
            await projects.load(tx, project_id, lock=True)  # two at once would not see each other's
            await _forget_kind(backends, tx, project_id, kind, actor)
        added = await integrations.add(tx, new)
        if secret is not None:
            await integrations.keep_secret(tx, added.id, sealing.seal(backends.rules.secrets[0], _purpose(added.id), secret.encode()))
        await audit.note(backends, tx, actor, AuditAction.INTEGRATION_CREATE, project_id=project_id, subject=added.id, kind=kind.value)
        stored = await integrations.load(tx, project_id, added.id)
    assert stored is not None
    return stored


async def disconnect(backends: Backends, project_id: int, integration_id: int, *, actor: Actor = ActorKind.OPERATOR) -> None:
    """Forget an integration with its secret. Raises NotFoundError."""
    async with backends.database.transaction() as tx:
        if not await integrations.remove(tx, project_id, integration_id):
            raise NotFoundError(f"Project {project_id} has no integration {integration_id}.")
        await audit.note(backends, tx, actor, AuditAction.INTEGRATION_DELETE, project_id=project_id, subject=integration_id)


async def disconnect_kind(backends: Backends, project_id: int, kind: IntegrationKind, *, actor: Actor = ActorKind.OPERATOR) -> int:
    """Forget every integration of a kind that a project has, with its secret; how many there were."""
    async with backends.database.transaction() as tx:
        return await _forget_kind(backends, tx, project_id, kind, actor)


async def _forget_kind(backends: Backends, tx: Transaction, project_id: int, kind: IntegrationKind, actor: Actor) -> int:
    found = await integrations.of_project(tx, project_id, kind)
    for integration in found:
        if await integrations.remove(tx, project_id, integration.id):
            await audit.note(backends, tx, actor, AuditAction.INTEGRATION_DELETE, project_id=project_id, subject=integration.id)
    return len(found)


async def list_integrations(backends: Backends, caller: Caller, project: Project) -> list[Integration]:
    """The project's integrations, oldest first."""
    access.person(caller)
    return await of_project(backends, project.id)


async def of_project(backends: Backends, project_id: int) -> list[Integration]:
    """The integrations of a project by its id, oldest first, for its operator."""
    async with backends.database.statement() as tx:
        return await integrations.of_project(tx, project_id)


async def first_of_kind(tx: Transaction, project_id: int, kind: IntegrationKind) -> Integration | None:
    """The project's oldest integration of a kind, which is the one that counts where none is named."""
    return next(iter(await integrations.of_project(tx, project_id, kind)), None)


def secret_of(backends: Backends, integration: Integration) -> str | None:
    """An integration's secret in the clear; None where it has none. Raises UnavailableError where our secret key does not open it."""
    if integration.sealed_secret is None:
        return None
    return sealing.unseal(backends.rules.secrets, _purpose(integration.id), integration.sealed_secret).decode()


def _purpose(integration_id: int) -> str:
    return f"secret of integration {integration_id}"
