"""The gate of one worker, with a pair of sockets for each run and one port for the control plane."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from hedgerow.domain.sandboxes import NO_PUBLIC_HOSTS, HostPort, PublicHosts
from hedgerow.gate.addresses import Resolve, canonical, resolve
from hedgerow.gate.control_plane import ControlPlane
from hedgerow.gate.doors import Door
from hedgerow.gate.egress import Egress
from hedgerow.gate.inbound import Inbound
from hedgerow.gate.messages import Limits

CONTROL_SOCKET = "gate.sock"
EGRESS_SOCKET = "egress.sock"

_INBOUND_CONNECTIONS = 4096  # of all readers of all runs of a node


class Gate:
    """Opens for each run the two ways out of its sandbox, and serves the one way in."""

    def __init__(
        self,
        *,
        control_plane_url: str,
        trusted_hosts: frozenset[HostPort] = frozenset(),
        lease_seconds_left: Callable[[], float] = lambda: math.inf,
        limits: Limits | None = None,
        resolve_name: Resolve = resolve,
    ) -> None:
        """`trusted_hosts`: addresses of the operator's own model URLs, which alone may lie in the operator's network by name.

        `lease_seconds_left`: for how long this node may still act, which is what its agents ask for.

        Raises ValueError where the URL is not one of http or https.
        """
        self._limits = limits or Limits()
        self._control_plane = ControlPlane(control_plane_url, limits=self._limits, lease_seconds_left=lease_seconds_left)
        self._trusted = frozenset(map(canonical, trusted_hosts))
        self._resolve = resolve_name
        self._folders: dict[str, Path] = {}
        self._doors: dict[str, tuple[Door, Door]] = {}
        self._inbound: Door | None = None
        self._opening = asyncio.Lock()

    async def serve(self, host: str, port: int) -> int:
        """Listen for the control plane, for /sandboxes/{run}/…; return the port. Raises UnavailableError where it is taken."""
        limits = replace(self._limits, connections=_INBOUND_CONNECTIONS)
        self._inbound = Door(Inbound(self._folders).route, limits)
        return await self._inbound.listen_tcp(host, port)

    async def open(
        self,
        run_id: UUID | str,
        sockets: Path,
        allowed: frozenset[HostPort],
        owner: tuple[int, int] | None,
        *,
        public: PublicHosts = NO_PUBLIC_HOSTS,
    ) -> None:
        """Open the ways out of a run's sandbox, in its sockets folder; `owner` is the account inside (None: the present one).

        `allowed` are exact addresses; `public` is what may be reached of the public internet as well.

        May be called again, with another list as well, and after a restart: the sandbox goes on with the new sockets.
        Raises UnavailableError where a socket can't be made, ValueError where `allowed` holds something that is no host.
        """
        run = str(run_id).lower()
        exact = frozenset(map(canonical, allowed))
        egress = Egress(run, exact, public=public, trusted=self._trusted, resolve=self._resolve, limits=self._limits)
        async with self._opening:
            await self._shut(run)
            control_door, egress_door = Door(self._control_plane.route, self._limits), Door(egress.route, self._limits)
            self._doors[run] = (control_door, egress_door)
            try:
                await control_door.listen_unix(sockets / CONTROL_SOCKET, owner)
                await egress_door.listen_unix(sockets / EGRESS_SOCKET, owner)
            except BaseException:
                await self._shut(run)
                raise
            self._folders[run] = sockets

    async def close(self, run_id: UUID | str) -> None:
        """Close every way of a run, and cut what is under way. Does nothing where none is open."""
        async with self._opening:
            await self._shut(str(run_id).lower())

    def open_runs(self) -> list[UUID]:
        """The runs whose ways are open."""
        return [UUID(run) for run in self._doors]

    async def stop(self) -> None:
        """Close everything. Sandboxes go on; their calls are answered again once a gate opens for them."""
        if self._inbound is not None:
            await self._inbound.close()
        async with self._opening:
            for run in list(self._doors):
                await self._shut(run)

    async def _shut(self, run: str) -> None:
        self._folders.pop(run, None)
        for door in self._doors.pop(run, ()):
            await door.close()
