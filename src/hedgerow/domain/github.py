"""GitHub: what its pickers show, who somebody is there, and which credentials a run may use."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

TOKEN_KEPT = timedelta(hours=6)
"""How long a token that came with a run is kept for it (contract 3.6)."""

_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_NO_NAME = re.compile(r"[\x00-\x1f\x7f<>]+")


class CredentialSource(StrEnum):
    """Whose credentials a run works with: `state.github_credential_source`."""

    CALLER_TOKEN = "caller_token"  # noqa: S105 - the name of a kind
    SERVER_INTEGRATION = "server_integration"


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubAccount:
    """A person or an organization on GitHub."""

    id: int
    login: str
    type: str  # "User", "Organization" or "Bot"
    name: str | None = None

    @property
    def author(self) -> tuple[str, str]:
        """Name and mail that GitHub shows as this account on a commit, whatever mail address the person keeps private."""
        name = _NO_NAME.sub(" ", self.name or "").strip()
        return name or self.login, f"{self.id}+{self.login}@users.noreply.github.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubRepository:
    """A repository that credentials open."""

    id: int
    name: str
    full_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubBranches:
    """The branches of a repository. `default` is None where it has no commit yet."""

    names: tuple[str, ...]
    default: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubLink:
    """A person's own account on GitHub. Its token lies encrypted beside it, and is opened only where it is used."""

    id: UUID
    user_id: int
    account: GitHubAccount
    created_at: datetime
    refused_at: datetime | None = None  # GitHub took the token no more
    sealed_token: bytes | None = field(default=None, repr=False)

    @property
    def usable(self) -> bool:
        """Whether a run may count on it."""
        return self.sealed_token is not None and self.refused_at is None


def is_repository(name: str) -> bool:
    """Whether GitHub could have a repository of this name, `organisation/repository`."""
    return _REPOSITORY.fullmatch(name) is not None and not {".", ".."} & set(name.split("/"))
