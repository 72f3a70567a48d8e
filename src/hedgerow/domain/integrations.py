"""Integrations: services that a project is connected with."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class IntegrationKind(StrEnum):
    """What can be connected."""

    GITHUB = "github"
    SLACK = "slack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """One connection of a project. Its secret lies encrypted beside it, and is opened only where it is used."""

    id: int
    project_id: int
    kind: IntegrationKind
    display_name: str
    created_at: datetime
    config: dict[str, Any] = field(default_factory=dict)
    created_by: int | None = None
    sealed_secret: bytes | None = field(default=None, repr=False)
