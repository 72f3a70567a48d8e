"""Where a client has reached us, as a proxy in front of us tells it: for the absolute addresses in an answer.

Only a peer whose address the operator trusts is heard (HEDGEROW_TRUSTED_PROXIES). One without an address, on a unix socket, is not.
"""

import ipaddress
import re
from dataclasses import dataclass, replace

from starlette.datastructures import Headers
from starlette.requests import Request

from hedgerow.operations.backends import Backends

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?P<name>[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?")
_PAIR = re.compile(r"\s*(?P<name>[A-Za-z]+)=(?:\"(?P<quoted>[^\"\\]*)\"|(?P<plain>[^\s\";,]*))\s*")
_HEADERS = ("x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix")


class _MalformedError(Exception):
    """A header says something that is no part of an address."""


def facing(backends: Backends, request: Request) -> Backends:
    """The backends with the public URL under which this client reaches us, where a trusted proxy tells it; else as they are.

    What the proxy nearest to us said counts, the last of several values. Where one of its headers is malformed, none is heard.
    """
    if not backends.rules.trusted_proxies or not _is_trusted(backends, request):
        return backends
    try:
        url = _public_url(request.headers)
    except _MalformedError:
        return backends
    return backends if url is None else replace(backends, rules=replace(backends.rules, public_url=url))


def _is_trusted(backends: Backends, request: Request) -> bool:
    try:
        peer = ipaddress.ip_address(request.client.host if request.client is not None else "")
    except ValueError:
        return False
    if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped is not None:
        peer = peer.ipv4_mapped
    return any(peer in network for network in backends.rules.trusted_proxies)


@dataclass(frozen=True, slots=True)
class _Told:
    """What the headers say. Empty: nothing."""

    scheme: str = ""
    host: str = ""
    port: str = ""
    prefix: str = ""


def _public_url(headers: Headers) -> str | None:
    """The address that the headers tell; None where they tell none. `Forwarded` counts where no X-Forwarded header does.

    Most proxies write the latter, and pass on whatever `Forwarded` a client has made up.
    """
    given = [_last(headers, name) for name in _HEADERS]
    forwarded = _last(headers, "forwarded")
    if any(given):
        told = _Told(*given)
    elif forwarded:
        told = _read_forwarded(forwarded)
    else:
        return None
    scheme = (told.scheme or "http").lower()
    host = _HOST.fullmatch(told.host or headers.get("host", ""))
    if scheme not in _PORTS or host is None or not _PREFIX.fullmatch(told.prefix):
        raise _MalformedError
    port = _port(told.port or host["port"] or str(_PORTS[scheme]))
    return f"{scheme}://{host['name']}{'' if port == _PORTS[scheme] else f':{port}'}{told.prefix.rstrip('/')}"


def _last(headers: Headers, name: str) -> str:
    """The last value of a header that may stand there several times, in one line or in many."""
    return ",".join(headers.getlist(name)).rpartition(",")[2].strip()


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536):
        raise _MalformedError
    return int(text)


def _read_forwarded(element: str) -> _Told:
    """An element of a `Forwarded` header (RFC 7239)."""
    pairs: dict[str, str] = {}
    for part in element.split(";"):
        found = _PAIR.fullmatch(part)
        if found is None:
            raise _MalformedError
        pairs[found["name"].lower()] = found["quoted"] if found["quoted"] is not None else found["plain"]
    return _Told(scheme=pairs.get("proto", ""), host=pairs.get("host", ""))
