"""What a run's sandbox is given by its project: variables for its agent, and how much of the internet it reaches."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from hedgerow.domain.access import User
from hedgerow.domain.default_domains import DEFAULT_DOMAINS
from hedgerow.domain.sandboxes import PublicHosts

LONGEST_VARIABLE_BYTES = 128 * 1024 - 1
"""Of `NAME=value` in UTF-8: what Linux takes for one string of a process's environment, less its closing zero."""
LARGEST_VARIABLES_BYTES = 512 * 1024
"""Of all variables together, so that a process can be started with them and its own arguments beside."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN = re.compile(rf"(?=.{{1,255}}\Z)(\*\.)?{_LABEL}(\.{_LABEL})*\Z", re.IGNORECASE)


class NetworkAccess(StrEnum):
    """How much of the internet a sandbox reaches, beside its model's host and what the operator allows."""

    TRUSTED = "trusted"  # the default domains
    FULL = "full"  # every public host
    CUSTOM = "custom"  # the domains that are listed


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxEnvironment:
    """A project's sandbox environment. Its variables lie encrypted beside it, and are opened only for the run that gets them."""

    id: UUID
    project_id: int
    name: str
    network_access_level: NetworkAccess = NetworkAccess.FULL
    allowed_domains: tuple[str, ...] = ()
    include_default_domains: bool = False
    repositories: tuple[str, ...] = ()
    sealed_variables: bytes | None = field(default=None, repr=False)
    private: bool = True
    internal: bool = False
    created_by: User | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def effective_domains(self) -> tuple[str, ...]:
        """The domains that a sandbox reaches; none listed where it reaches every public host, or nothing."""
        if self.network_access_level is NetworkAccess.FULL:
            return ()
        if self.network_access_level is NetworkAccess.TRUSTED:
            return DEFAULT_DOMAINS
        defaults = DEFAULT_DOMAINS if self.include_default_domains else ()
        return tuple(dict.fromkeys((*self.allowed_domains, *defaults)))

    @property
    def public_hosts(self) -> PublicHosts:
        """The same as the gate understands it."""
        if self.network_access_level is NetworkAccess.FULL:
            return PublicHosts(every=True)
        return PublicHosts(domains=frozenset(domain.lower() for domain in self.effective_domains))

    def is_seen_by(self, user_id: int | None) -> bool:
        """Whether a person may see and change it: everybody of the project where it is not private, else its creator."""
        return not self.private or (self.created_by is not None and self.created_by.id == user_id)


def is_domain(text: str) -> bool:
    """Whether a text is the name of a host, or `*.` and one, which stands for everything below it."""
    return _DOMAIN.match(text) is not None


def unsound_variable(variables: Mapping[str, str]) -> str | None:
    """What keeps variables from being a process's environment, in one sentence without any value; None where they are sound."""
    for name, value in variables.items():
        if not _VARIABLE.match(name):
            return f"{name[:100]!r} is no name of a variable: letters, digits and underscores, beginning with no digit."
        if "\0" in value or not _is_unicode(value):
            return f"The value of {name[:100]} holds a character that no environment can hold."
        if len(name) + 1 + len(value.encode()) > LONGEST_VARIABLE_BYTES:
            return f"{name[:100]} is too long: a variable has at most {LONGEST_VARIABLE_BYTES} bytes."
    if sum(len(name) + len(value.encode()) + 2 for name, value in variables.items()) > LARGEST_VARIABLES_BYTES:
        return f"The variables are too large: together they have at most {LARGEST_VARIABLES_BYTES} bytes."
    return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
