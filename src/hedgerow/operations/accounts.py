"""People, projects and personal keys: what operators make, what people make themselves, and what the first start makes by itself."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from hedgerow.db import keys, projects, users
from hedgerow.db.database import Transaction
from hedgerow.domain.access import ORGANIZATION_ID, Caller, PersonalKey, Project, Scope, User
from hedgerow.domain.errors import ConflictError, InvalidError, NotFoundError
from hedgerow.domain.ids import uuid7
from hedgerow.operations import access
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
        return await _add_user(backends, tx, email.strip(), name, is_staff)


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
        return await projects.add(tx, uuid4(), name.strip(), backends.clock.now())


async def add_member(backends: Backends, *, email: str, project_id: int) -> User:
    """Let a person into a project; safe to repeat. The first project becomes their current one. Raises NotFoundError."""
    async with backends.database.transaction() as tx:
        user = await _existing_user(tx, email)
        if await projects.load(tx, project_id) is None:
            raise NotFoundError(f"There is no project {project_id}.")
        await users.join_project(tx, user.id, project_id, backends.clock.now())
        joined = await users.load(tx, user.id)
        assert joined is not None
        return joined


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
        return await _add_key(backends, tx, user, label.strip(), scopes, project_ids)


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
        return await _add_key(backends, tx, who.user, label.strip(), scopes, project_ids or (None if reach is None else sorted(reach)))


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
    backends: Backends, tx: Transaction, user: User, label: str, scopes: Sequence[str], project_ids: Sequence[int] | None
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
        _, value = await _add_key(backends, tx, user, "First key", [Scope.ALL.value], None)
        return FirstKey(user=user, project=project, value=value)


async def current_user(backends: Backends, user_id: int) -> User:
    """A person by id. Raises NotFoundError."""
    async with backends.database.statement() as tx:
        user = await users.load(tx, user_id)
    if user is None:
        raise NotFoundError("There is no such person.")
    return user
