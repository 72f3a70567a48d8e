"""A project as it is now, and what is turned on in it."""

from collections.abc import Mapping

from hedgerow.db import projects
from hedgerow.domain.access import Caller, Project
from hedgerow.domain.audit import Actor, ActorKind, AuditAction
from hedgerow.domain.errors import NotFoundError
from hedgerow.operations import access, audit
from hedgerow.operations.backends import Backends


async def retrieve_project(backends: Backends, caller: Caller, project: Project) -> Project:
    """The project as it is at this moment: what authentication knows of it may be a few seconds old."""
    access.person(caller)
    return await _existing(backends, project.id)


async def update_project(backends: Backends, caller: Caller, project: Project, switches: Mapping[str, bool]) -> Project:
    """Turn switches on or off, by their names in `Switches`. Those that are not named stay as they are."""
    access.person(caller)
    return await turn_switches(backends, project.id, switches, actor=caller)


async def turn_switches(backends: Backends, project_id: int, switches: Mapping[str, bool], *, actor: Actor = ActorKind.OPERATOR) -> Project:
    """The same for the operator. Raises NotFoundError."""
    if not switches:
        return await _existing(backends, project_id)
    async with backends.database.transaction() as tx:
        changed = await projects.turn(tx, project_id, switches)
        if changed is None:
            raise NotFoundError(f"There is no project {project_id}.")
        await audit.note(backends, tx, actor, AuditAction.PROJECT_UPDATE, project_id=project_id, switches=dict(switches))
    return changed


async def _existing(backends: Backends, project_id: int) -> Project:
    async with backends.database.statement() as tx:
        found = await projects.load(tx, project_id)
    if found is None:
        raise NotFoundError(f"There is no project {project_id}.")
    return found
