"""People, projects and personal keys: what `hedgerow admin` makes, and what the first start makes by itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hedgerow.domain.access import PersonalKey, Project, User
from hedgerow.operations.backends import Backends


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstKey:
    """What `bootstrap` made: the one moment at which the key's value is known."""

    user: User
    project: Project
    value: str = field(repr=False)


async def create_user(backends: Backends, *, email: str, name: str = "", is_staff: bool = False) -> User:
    """A new person. Raises InvalidError (attr `email`) for something that is no address, ConflictError for one that exists."""
    raise NotImplementedError


async def create_project(backends: Backends, *, name: str) -> Project:
    """A new project without members. Raises InvalidError (attr `name`) for a blank name."""
    raise NotImplementedError


async def add_member(backends: Backends, *, email: str, project_id: int) -> User:
    """Let a person into a project; safe to repeat. The first project becomes their current one. Raises NotFoundError."""
    raise NotImplementedError


async def create_key(
    backends: Backends, *, email: str, label: str, scopes: Sequence[str], project_ids: Sequence[int] | None = None
) -> tuple[PersonalKey, str]:
    """A personal key and its value, of which only a hash is kept.

    Raises InvalidError (attr `scopes`, `label` or `project_ids`) and NotFoundError for an unknown person.
    """
    raise NotImplementedError


async def bootstrap(backends: Backends) -> FirstKey | None:
    """On an empty database: the person admin@localhost, project 1 and a key with scope `*`. None where there is anybody already."""
    raise NotImplementedError


async def current_user(backends: Backends, user_id: int) -> User:
    """A person by id. Raises NotFoundError."""
    raise NotImplementedError
