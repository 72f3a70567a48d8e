"""The way out of a sandbox: a proxy that knows which hosts and ports it may lead to (CONNECT, and absolute http:// targets)."""

import asyncio
from urllib.parse import urlsplit

import structlog

from hedgerow.domain.addresses import is_public
from hedgerow.domain.sandboxes import HostPort, PublicHosts
from hedgerow.gate.addresses import Resolve, literal, parse_host_port
from hedgerow.gate.forwarding import Route, Tunnel
from hedgerow.gate.messages import Head, Limits, Refusal
from hedgerow.gate.streams import Connection, open_tcp

_log = structlog.get_logger()
_LOGGED_REFUSALS = 100  # of one run; what runs inside must not fill the operator's log


class Egress:
    """Routes one run's requests to the outside."""

    def __init__(
        self,
        run_id: str,
        allowed: frozenset[HostPort],
        *,
        public: PublicHosts,
        trusted: frozenset[HostPort],
        resolve: Resolve,
        limits: Limits,
    ) -> None:
        """`allowed`: exact addresses. `public`: what of the public internet may be reached as well, and nothing else under its names.

        `trusted`: addresses that the operator named as a model's own, which may lie in the operator's network.
        """
        self._run_id = run_id
        self._allowed = allowed
        self._public = public
        self._trusted = trusted
        self._resolve = resolve
        self._limits = limits
        self._refused: set[str] = set()

    async def route(self, head: Head) -> Route | Tunnel:
        """Where a request goes. Raises Refusal for every host that is not on the list."""
        if head.method == b"CONNECT":
            wanted = self._require_allowed(head.target.decode("ascii", "replace"))
            try:
                return Tunnel(await self._connect(wanted))
            except OSError as error:
                raise Refusal(502, _away(wanted)) from error
        return self._plain(head.target.decode("ascii", "replace"))

    def _plain(self, target: str) -> Route:
        if not target.lower().startswith("http://"):
            raise Refusal(400, "This is a proxy: it takes CONNECT host:port, or a request with an absolute http:// address.")
        try:
            parts = urlsplit(target)
        except ValueError as error:
            raise Refusal(400, "The address of the request is not well-formed.") from error
        wanted = self._require_allowed(parts.netloc, default_port=80)
        origin = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Route(
            key=wanted,
            connect=lambda: self._connect(wanted),
            target=origin.encode(),
            host=parts.netloc.encode(),
            away=_away(wanted),
        )

    def _require_allowed(self, text: str, default_port: int | None = None) -> HostPort:
        try:
            wanted = parse_host_port(text, default_port=default_port)
        except ValueError:
            wanted = None
        if wanted is None or not (wanted in self._allowed or self._public.hold(wanted.host, wanted.port)):
            self._note(text)
            raise Refusal(
                403,
                f"'{text[:300]}' is not on the list of hosts that this run may reach. "
                "HEDGEROW_EGRESS_ALLOW adds to it. A sandbox environment opens more of the internet.",
            )
        return wanted

    async def _connect(self, wanted: HostPort) -> Connection:
        """Connect to the first address that answers. Raises OSError, or Refusal where the name leads to no permitted one."""
        problem: OSError = ConnectionError(f"{wanted} has no address")
        for address in await self._addresses(wanted):
            try:
                return await open_tcp(address, wanted.port, timeout_seconds=self._limits.connect_seconds)
            except OSError as error:
                problem = error
        raise problem

    async def _addresses(self, wanted: HostPort) -> list[str]:
        """The addresses to try. One that stands on the list itself, or is a model's own, may lie anywhere; a name's must be public."""
        if literal(wanted.host) is None:
            async with asyncio.timeout(self._limits.connect_seconds):
                found = await self._resolve(wanted.host, wanted.port)
        elif wanted in self._allowed:
            return [wanted.host]
        else:
            found = [wanted.host]
        if wanted in self._trusted and wanted in self._allowed:
            return found
        public = [text for text in found if (address := literal(text)) is not None and is_public(address)]
        if found and not public:
            self._note(str(wanted))
            raise Refusal(403, f"'{wanted}' leads to an address inside the operator's network, where only a model's own address may lead.")
        return public

    def _note(self, text: str) -> None:
        if text not in self._refused and len(self._refused) < _LOGGED_REFUSALS:
            self._refused.add(text)
            _log.info("egress refused", run_id=self._run_id, address=text[:300])


def _away(wanted: HostPort) -> str:
    return f"'{wanted}' does not answer."
