"""What every way of running a sandbox promises."""

from typing import Protocol

from hedgerow.domain.runs import SandboxHandle
from hedgerow.domain.sandboxes import FoundSandbox, SandboxSpec, SandboxState


class SandboxProvider(Protocol):
    """A way to make machines that outlive the process that made them."""

    name: str
    isolated: bool  # whether what runs inside is kept from the rest of the machine

    async def check(self) -> None:
        """Return where sandboxes of this kind work on this machine; raise UnavailableError saying why they do not."""
        ...

    async def create(self, spec: SandboxSpec) -> SandboxHandle:
        """Start a machine and return once its command runs. Raises UnavailableError; then nothing is left behind.

        Writable folders that must belong to another account (`owner`) have been given away by the caller.
        """
        ...

    async def inspect(self, handle: SandboxHandle) -> SandboxState:
        """How a machine stands, also when another process of this node made it. Never confuses it with a later process."""
        ...

    async def wait(self, handle: SandboxHandle) -> SandboxState:
        """Return once the machine has ended, without polling faster than a few times a second."""
        ...

    async def destroy(self, handle: SandboxHandle) -> None:
        """End a machine with every process in it, within seconds. Safe to repeat, and for one that is gone."""
        ...

    async def find(self, owner: str) -> list[FoundSandbox]:
        """The machines of an `owner` that still have processes on this one, also those that nobody has written down.

        None are found where the system does not let their labels be seen.
        """
        ...

    @property
    def owner(self) -> tuple[int, int] | None:
        """The uid and gid that writable folders of a sandbox must belong to; None where that is the present account."""
        ...
