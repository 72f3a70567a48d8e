"""People, projects and personal keys: what operators make, what people make themselves, and what the first start makes by itself."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from hedgerow.db import keys, projects, users
from hedgerow.db.database import Transaction
from hedgerow.domain.access import ORGANIZATION_ID, Caller, PersonalCaller, PersonalKey, Project, Scope, User
from hedgerow.domain.audit import Actor, ActorKind, AuditAction
from hedgerow.domain.errors import ConflictError, InvalidError, NotFoundError
from hedgerow.domain.ids import uuid7
from hedgerow.operations import access, audit
from hedgerow.operations.access import key_hash
from hedgerow.operations.backends import Backends

FIRST_EMAIL = "admin@localhost"
FIRST_PROJECT = "Default project"
KEY_PREFIX = "phx_"

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstKey:
    """What `bootstrap` made: the one moment at which the key's value is known."""

    user: User
    project: Project
    value: str = field(repr=False)


async def create_user(backends: Backends, *, email: str, name: str = "", is_staff: bool = False) -> User:
    """A new person. Raises InvalidError (attr `email`) for something that is no address, ConflictError for one that exists."""
    if not _EMAIL.fullmatch(email.strip()):
        raise InvalidError(f"{email!r} is no e-mail address.", attr="email", detail_code="invalid_input")
    async with backends.database.transaction() as tx:
        user = await _add_user(backends, tx, email.strip(), name, is_staff)
        await audit.note(backends, tx, ActorKind.OPERATOR, AuditAction.USER_CREATE, subject=user.id)
        return user


async def _add_user(backends: Backends, tx: Transaction, email: str, name: str, is_staff: bool) -> User:
    uuid = uuid4()
    first_name, _, last_name = name.strip().partition(" ")
    user = User(id=0, uuid=uuid, distinct_id=str(uuid), email=email, first_name=first_name, last_name=last_name.strip(), is_staff=is_staff)
    stored = await users.add(tx, user, backends.clock.now())
    if stored is None:
        raise ConflictError(f"There is a person with the e-mail address {email} already.", attr="email")
    return stored


async def create_project(backends: Backends, *, name: str) -> Project:
    """A new project without members. Raises InvalidError (attr `name`) for a blank name."""
    if not name.strip():
        raise InvalidError("A project needs a name.", attr="name", detail_code="blank")
    async with backends.database.transaction() as tx:
        project = await projects.add(tx, uuid4(), name.strip(), backends.clock.now())
        await audit.note(backends, tx, ActorKind.OPERATOR, AuditAction.PROJECT_CREATE, project_id=project.id)
        return project


async def add_member(backends: Backends, *, email: str, project_id: int) -> User:
    """Let a person into a project; safe to repeat. The first project becomes their current one. Raises NotFoundError."""
    async with backends.database.transaction() as tx:
        user = await _existing_user(tx, email)
        if await projects.load(tx, project_id) is None:
            raise NotFoundError(f"There is no project {project_id}.")
        if not await users.is_member(tx, user.id, project_id):
            await audit.note(backends, tx, ActorKind.OPERATOR, AuditAction.MEMBER_ADD, project_id=project_id, subject=user.id)
        await users.join_project(tx, user.id, project_id, backends.clock.now())
        joined = await users.load(tx, user.id)
        assert joined is not None
        return joined


async def remove_member(backends: Backends, *, email: str, project_id: int) -> User:
    """End a person's membership: their keys lead into the project no more, and their open streams of it end.

    Raises NotFoundError for a person or a project that is not there, and for one who is no member.
    """
    async with backends.database.transaction() as tx:
        user = await _existing_user(tx, email)
        if not await users.leave_project(tx, user.id, project_id):
            raise NotFoundError(f"{user.email} is no member of project {project_id}.")
        await audit.note(backends, tx, ActorKind.OPERATOR, AuditAction.MEMBER_REMOVE, project_id=project_id, subject=user.id)
        _take_away(backends, tx, [key.id for key, _ in await keys.select(tx, user.id)])
        left = await users.load(tx, user.id)
        assert left is not None
        return left


def _take_away(backends: Backends, tx: Transaction, key_ids: Sequence[UUID]) -> None:
    """After the commit, let nobody rely on what was known of these keys: this process at once, the others within a second.

    Whoever streams with one of them looks again now.
    """

    async def tell() -> None:
        backends.callers.forget()
        backends.projects.forget()
        for key_id in key_ids:
            backends.hub.changed(key_id)

    tx.after_commit(tell)


async def create_key(
    backends: Backends, *, email: str, label: str, scopes: Sequence[str], project_ids: Sequence[int] | None = None
) -> tuple[PersonalKey, str]:
    """A personal key and its value, of which only a hash is kept.

    Raises InvalidError (attr `scopes`, `label` or `project_ids`) and NotFoundError for an unknown person.
    """
    _check_key(label, scopes)
    async with backends.database.transaction() as tx:
        user = await _existing_user(tx, email)
        await _check_projects(tx, user, project_ids or (), attr="project_ids")
        return await _add_key(backends, tx, ActorKind.OPERATOR, user, label.strip(), scopes, project_ids)


async def create_own_key(
    backends: Backends, caller: Caller, *, label: str, scopes: Sequence[str], project_ids: Sequence[int]
) -> tuple[PersonalKey, str]:
    """A further key of the caller, and its value. It reaches no project that the caller's key does not reach.

    No `project_ids`: the projects of the caller's key. Raises ForbiddenError for a key without scope `*`, and InvalidError (attr
    `scopes`, `label` or `scoped_teams`).
    """
    who = access.person(caller)
    access.require(who, Scope.ALL)
    _check_key(label, scopes)
    reach = who.project_ids
    for project_id in project_ids:
        if reach is not None and project_id not in reach:
            raise InvalidError(f"Your own key does not reach project {project_id}.", attr="scoped_teams", detail_code="invalid_input")
    async with backends.database.transaction() as tx:
        await _check_projects(tx, who.user, project_ids, attr="scoped_teams")
        within = project_ids or (None if reach is None else sorted(reach))
        return await _add_key(backends, tx, who, who.user, label.strip(), scopes, within)


async def list_keys(backends: Backends, *, email: str | None = None) -> list[tuple[PersonalKey, User]]:
    """Every key with its owner, newest first; one person's where their address is given. Raises NotFoundError for an unknown one."""
    async with backends.database.transaction() as tx:
        user = None if email is None else await _existing_user(tx, email)
        return await keys.select(tx, None if user is None else user.id)


async def revoke_key(backends: Backends, key_id: UUID) -> tuple[PersonalKey, User]:
    """Make a key worthless, on every API process within a second; the key and its owner. Raises NotFoundError."""
    async with backends.database.transaction() as tx:
        found = await keys.load(tx, key_id)
        if found is None:
            raise NotFoundError(f"There is no key {key_id}.")
        await _revoke(backends, tx, ActorKind.OPERATOR, found[0])
        return found


async def own_keys(backends: Backends, caller: Caller) -> list[PersonalKey]:
    """The caller's keys, newest first: those that reach no further than the one in use. Raises ForbiddenError without scope `*`."""
    who = access.person(caller)
    access.require(who, Scope.ALL)
    async with backends.database.statement() as tx:
        return [key for key, _ in await keys.select(tx, who.user.id) if _is_within(who, key)]


async def own_key(backends: Backends, caller: Caller, key_id: UUID) -> PersonalKey:
    """One of `own_keys`. Raises NotFoundError, and ForbiddenError without scope `*`."""
    found = next((key for key in await own_keys(backends, caller) if key.id == key_id), None)
    if found is None:
        raise NotFoundError("Personal key not found.")
    return found


async def revoke_own_key(backends: Backends, caller: Caller, key_id: UUID) -> None:
    """Make one of `own_keys` worthless, on every API process within a second; it may be the one in use. Raises as `own_key`."""
    key = await own_key(backends, caller, key_id)
    async with backends.database.transaction() as tx:
        await _revoke(backends, tx, caller, key)


def _is_within(who: PersonalCaller, key: PersonalKey) -> bool:
    return who.project_ids is None or (key.project_ids is not None and key.project_ids <= who.project_ids)


async def _revoke(backends: Backends, tx: Transaction, actor: Actor, key: PersonalKey) -> None:
    if not await keys.remove(tx, key.id):
        raise NotFoundError("Personal key not found.")
    await audit.note(backends, tx, actor, AuditAction.KEY_REVOKE, subject=key.id, owner=key.user_id)
    _take_away(backends, tx, [key.id])


async def _check_projects(tx: Transaction, user: User, project_ids: Sequence[int], *, attr: str) -> None:
    for project_id in project_ids:
        if not await users.is_member(tx, user.id, project_id):
            raise InvalidError(f"{user.email} is no member of project {project_id}.", attr=attr, detail_code="invalid_input")


async def own_projects(backends: Backends, caller: Caller) -> list[Project]:
    """The projects that the caller is a member of and that their key reaches, oldest first."""
    who = access.person(caller)
    async with backends.database.statement() as tx:
        found = await projects.of_member(tx, who.user.id)
    return [project for project in found if who.project_ids is None or project.id in who.project_ids]


def choose_organization(caller: Caller, organization_id: UUID | None) -> None:
    """Let the caller work in an organization (None: where they do already). Raises InvalidError for any but the one that there is."""
    access.person(caller)
    if organization_id not in {None, ORGANIZATION_ID}:
        message = f"You belong to no organization {organization_id}."
        raise InvalidError(message, attr="set_current_organization", detail_code="does_not_exist")


def _check_key(label: str, scopes: Sequence[str]) -> None:
    if not label.strip():
        raise InvalidError("A key needs a label.", attr="label", detail_code="blank")
    if not scopes:
        raise InvalidError("A key needs at least one scope.", attr="scopes", detail_code="empty")
    known = [scope.value for scope in Scope]
    for scope in scopes:
        if scope not in known:
            raise InvalidError(f"There is no scope {scope!r}; there are {', '.join(known)}.", attr="scopes", detail_code="invalid_choice")


async def _add_key(
    backends: Backends, tx: Transaction, actor: Actor, user: User, label: str, scopes: Sequence[str], project_ids: Sequence[int] | None
) -> tuple[PersonalKey, str]:
    value = KEY_PREFIX + secrets.token_urlsafe(32)
    now = backends.clock.now()
    key = PersonalKey(
        id=uuid7(int(now.timestamp() * 1000)),
        user_id=user.id,
        label=label,
        scopes=frozenset(scopes),
        project_ids=None if not project_ids else frozenset(project_ids),
        created_at=now,
    )
    await keys.add(tx, key, key_hash(value))
    reach = None if key.project_ids is None else sorted(key.project_ids)
    await audit.note(backends, tx, actor, AuditAction.KEY_CREATE, subject=key.id, owner=user.id, scopes=sorted(key.scopes), projects=reach)
    return key, value


async def _existing_user(tx: Transaction, email: str) -> User:
    user = await users.find(tx, email.strip())
    if user is None:
        raise NotFoundError(f"There is no person with the e-mail address {email}.")
    return user


async def bootstrap(backends: Backends) -> FirstKey | None:
    """On an empty database: the person admin@localhost, project 1 and a key with scope `*`. None where there is anybody already."""
    async with backends.database.transaction() as tx:
        await users.lock_out_others(tx)
        if await users.anybody(tx):
            return None
        now = backends.clock.now()
        user = await _add_user(backends, tx, FIRST_EMAIL, "Admin", is_staff=True)
        project = await projects.add(tx, uuid4(), FIRST_PROJECT, now)
        await users.join_project(tx, user.id, project.id, now)
        _, value = await _add_key(backends, tx, ActorKind.SERVER, user, "First key", [Scope.ALL.value], None)
        return FirstKey(user=user, project=project, value=value)


async def current_user(backends: Backends, user_id: int) -> User:
    """A person by id. Raises NotFoundError."""
    async with backends.database.statement() as tx:
        user = await users.load(tx, user_id)
    if user is None:
        raise NotFoundError("There is no such person.")
    return user
