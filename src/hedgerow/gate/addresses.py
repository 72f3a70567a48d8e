"""Which hosts may be reached: exact names and ports, and never by a name that leads into the operator's own network."""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable

from hedgerow.domain.addresses import Address
from hedgerow.domain.sandboxes import HostPort

Resolve = Callable[[str, int], Awaitable[list[str]]]  # a name's addresses; raises OSError

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\Z")
_HIGHEST_PORT = 65535


def parse_host_port(text: str, *, default_port: int | None = None) -> HostPort:
    """Read `host:port`, `1.2.3.4:port` or `[::1]:port`, in one spelling: lower case, the shortest form of an address.

    Raises ValueError for anything else: user information, a missing port, a trailing dot, another spelling of an address.
    """
    bracketed = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::(\d{1,5}))?", text)
    named = re.fullmatch(r"([^\[\]@:/?#\s]+)(?::(\d{1,5}))?", text)
    if not (found := bracketed or named):
        raise ValueError(f"'{text}' is not a host and a port.")
    host = str(ipaddress.IPv6Address(found[1])) if bracketed else found[1].lower()
    port = int(found[2]) if found[2] else default_port
    if port is None or not 0 < port <= _HIGHEST_PORT:
        raise ValueError(f"'{text}' has no port between 1 and {_HIGHEST_PORT}.")
    if named and not _NAME.match(host):
        raise ValueError(f"'{host}' is not the name of a host.")
    return HostPort(host, port)


def canonical(address: HostPort) -> HostPort:
    """An address in the spelling of `parse_host_port`. Raises ValueError."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return parse_host_port(f"{host}:{address.port}")


def literal(host: str) -> Address | None:
    """The IP address that a host is, where it is one and not a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, as this machine knows them. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
