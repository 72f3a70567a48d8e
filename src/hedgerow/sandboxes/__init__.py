"""Machines to run in: one file per kind, and the table of them."""

from dataclasses import dataclass

from hedgerow.sandboxes.base import SandboxProvider
from hedgerow.sandboxes.bubblewrap import BubblewrapSandboxes
from hedgerow.sandboxes.process import ProcessSandboxes

__all__ = ["SandboxOptions", "SandboxProvider", "providers"]


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
