"""Machines to run in: one file per kind, and the table of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from hedgerow.domain.errors import UnavailableError
from hedgerow.sandboxes.base import SandboxProvider, choose
from hedgerow.sandboxes.bubblewrap import BubblewrapSandboxes
from hedgerow.sandboxes.process import ProcessSandboxes

__all__ = ["SandboxOptions", "SandboxProvider", "automatic", "choose", "providers"]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """What an operator may choose about sandboxes."""

    account: tuple[int, int] = (61000, 61000)  # uid and gid that isolated sandboxes run as where hedgerow runs as root
    grace_seconds: float = 2.0  # how long processes may take to end by themselves


def providers(options: SandboxOptions | None = None) -> dict[str, SandboxProvider]:
    """Every kind of sandbox, by the name that an operator gives."""
    options = options or SandboxOptions()
    return {
        "process": ProcessSandboxes(grace_seconds=options.grace_seconds),
        "bubblewrap": BubblewrapSandboxes(account=options.account),
    }


async def automatic(providers: Mapping[str, SandboxProvider]) -> SandboxProvider:
    """The isolated kind where it works on this machine; else plain processes, and the log says why."""
    try:
        await providers["bubblewrap"].check()
    except UnavailableError as error:
        _log.warning("sandboxes are not isolated", reason=error.message)
        return providers["process"]
    return providers["bubblewrap"]
