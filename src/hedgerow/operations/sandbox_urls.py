"""Which addresses commands may be forwarded to: those of our own gates, and what the operator lists. Everything else is refused.

A client may name a sandbox_url, so this is where requests to other machines in the operator's name are prevented.
"""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from hedgerow.domain.addresses import Address, is_public, unwrapped
from hedgerow.domain.errors import RefusedError, UnavailableError

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a URL leads: scheme, host and port, or the patterns of those."""

    scheme: str
    host: str
    port: str


def is_allowed(url: str, allowlist: tuple[str, ...]) -> bool:
    """Whether an entry of the allow-list matches a URL: `scheme://host[:port]`, host `*.name` for any below a name, port `*` for any."""
    return _matching(url, allowlist) is not None


def _matching(url: str, allowlist: tuple[str, ...]) -> Origin | None:
    origin = _origin(url)
    if origin is None:
        return None
    return next((pattern for pattern in map(_pattern, allowlist) if pattern is not None and _matches(origin, pattern)), None)


def _origin(url: str) -> Origin | None:
    """The origin of a plain URL; None for one with user information, a query, a fragment, or anything that readers take differently."""
    if any(character.isspace() or character in "\\\x00" or ord(character) < 32 for character in url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        return None
    return Origin(parts.scheme, parts.hostname.rstrip("."), str(port or _PORTS[parts.scheme]))


def _pattern(text: str) -> Origin | None:
    scheme, _, rest = text.strip().rstrip("/").partition("://")
    host, separator, port = rest.rpartition(":")
    if not separator or port.endswith("]"):
        host, port = rest, ""
    if scheme not in _PORTS or not host:
        return None
    return Origin(scheme, host.strip("[]").lower(), port or str(_PORTS[scheme]))


def _matches(origin: Origin, pattern: Origin) -> bool:
    host_fits = origin.host.endswith(pattern.host[1:]) if pattern.host.startswith("*.") else origin.host == pattern.host
    return origin.scheme == pattern.scheme and host_fits and pattern.port in {"*", origin.port}


@dataclass(frozen=True, slots=True)
class Destination:
    """An address to connect to, and the host that it stands for (TLS name and Host header)."""

    url: str
    host: str | None = None


async def destination(url: str, allowlist: tuple[str, ...]) -> Destination:
    """Where a client's sandbox_url leads, as the very address that was checked, so that no second look-up can lead elsewhere.

    Raises RefusedError for a URL that the operator does not allow, UnavailableError for a name that nobody knows.
    """
    pattern = _matching(url, allowlist)
    if pattern is None:
        raise RefusedError("The sandbox address of this run is not one that the operator allows.")
    parts = urlsplit(url)
    assert parts.hostname is not None
    address = await _address(parts.hostname, int(_origin_port(parts)))
    if pattern.host.startswith("*.") and not is_public(address):
        raise RefusedError("The sandbox address of this run leads into a private network.")
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        raise RefusedError("The sandbox address of this run is not one that the operator allows.")
    literal = f"[{address}]" if address.version == 6 else str(address)
    return Destination(parts._replace(netloc=f"{literal}:{_origin_port(parts)}").geturl(), parts.netloc)


def _origin_port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


async def _address(host: str, port: int) -> Address:
    try:
        return _literal(host)
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as problem:  # the latter: no name could be like that
        raise UnavailableError("The sandbox address of this run is not known to the network.") from problem
    return _literal(str(found[0][4][0]))


def _literal(text: str) -> Address:
    """The address that a text is, without the zone of a link-local one. Raises ValueError."""
    return unwrapped(ipaddress.ip_address(text.partition("%")[0]))
