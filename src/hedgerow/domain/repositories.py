"""A repository as the server knows it by name."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A registered repository: `name` is what tasks write, `clone_url` is what git gets."""

    id: UUID
    project_id: int
    name: str
    clone_url: str
    setup_command: str | None
    created_at: datetime
