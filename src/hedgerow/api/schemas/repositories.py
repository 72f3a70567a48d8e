"""Registered repositories over the wire (contract 13.4)."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from hedgerow.api.schemas.fields import RequestModel, Text, Text255, Words
from hedgerow.domain.journal import wire_time
from hedgerow.domain.repositories import Repository as DomainRepository


class Repository(BaseModel):
    """Where the runs of a repository clone from."""

    name: str
    clone_url: str
    setup_command: str | None
    created_at: datetime


class RepositoryPage(BaseModel):
    """The registered repositories of a project."""

    count: int
    next: str | None
    previous: str | None
    results: list[Repository]


class RepositoryWrite(RequestModel):
    """The body that registers a repository; a name that is registered gets the new URL."""

    name: Text255 | None = Field(None, description="organisation/repository; a local path gets its name from its folder.")
    clone_url: Words = Field(description="A git URL, or a path of the server's machine where the operator allows that.")
    setup_command: Text | None = None


def repository_detail(repository: DomainRepository) -> dict[str, Any]:
    """A repository as the API shows it."""
    return {
        "name": repository.name,
        "clone_url": repository.clone_url,
        "setup_command": repository.setup_command,
        "created_at": wire_time(repository.created_at),
    }
