"""Sandbox environments (contract 11.1)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hedgerow.client.answers.reading import made_at, texts


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxEnvironment:
    """What the sandboxes of runs may reach, and the variables they get. Values of variables are never answered.

    The items of a list leave `include_default_domains`, `has_environment_variables` and `effective_domains` out: None.
    """

    id: str
    name: str
    network_access_level: str
    allowed_domains: tuple[str, ...]
    include_default_domains: bool | None
    repositories: tuple[str, ...]
    has_environment_variables: bool | None
    private: bool
    internal: bool
    effective_domains: tuple[str, ...] | None
    created_at: datetime
    updated_at: datetime
    raw: Mapping[str, Any] = field(repr=False)


def environment_from(body: Mapping[str, Any]) -> SandboxEnvironment:
    """A sandbox environment from its JSON object."""
    effective = body.get("effective_domains")
    return SandboxEnvironment(
        id=body["id"],
        name=body["name"],
        network_access_level=body.get("network_access_level") or "",
        allowed_domains=texts(body.get("allowed_domains")),
        include_default_domains=body.get("include_default_domains"),
        repositories=texts(body.get("repositories")),
        has_environment_variables=body.get("has_environment_variables"),
        private=bool(body.get("private")),
        internal=bool(body.get("internal")),
        effective_domains=None if effective is None else texts(effective),
        created_at=made_at(body.get("created_at")),
        updated_at=made_at(body.get("updated_at")),
        raw=body,
    )
