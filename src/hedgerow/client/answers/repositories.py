"""Registered repositories (contract 13.4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hedgerow.client.answers.reading import moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository that was registered under a name."""

    name: str
    clone_url: str
    setup_command: str | None = None
    created_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


def repository_from(body: Mapping[str, Any]) -> Repository:
    """A registered repository from its JSON object."""
    return Repository(
        name=body["name"],
        clone_url=body["clone_url"],
        setup_command=body.get("setup_command"),
        created_at=moment(body.get("created_at")),
        raw=body,
    )
