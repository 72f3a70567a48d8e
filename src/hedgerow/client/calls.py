"""One call of the API: what is asked for, and when it may be asked again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from json import dumps
from os import PathLike, fspath
from typing import Any
from uuid import UUID, uuid4

PASSING = frozenset({502, 503, 504})
"""What a server or a proxy before it answers while it starts, stops, or has too much to do."""


class Repeat(Enum):
    """When a call may be made a second time, after a first one whose outcome is not known."""

    FREELY = auto()  # a second one changes nothing more
    UNDER_ITS_KEY = auto()  # the server answers a second one of the same Idempotency-Key as it answered the first
    UNSENT = auto()  # only where the first one surely never reached the server


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call. A `path` that begins with a slash is whole; any other lies below the client's project."""

    method: str
    path: str
    query: Mapping[str, Any] | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeat: Repeat = Repeat.FREELY
    passing: frozenset[int] = PASSING
    timeout_seconds: float | None = None

    def all_headers(self) -> dict[str, str]:
        """The headers of each try of this call: ask once, since a new key would make it another call."""
        headers = dict(self.headers)
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        if self.repeat is Repeat.UNDER_ITS_KEY:
            headers["Idempotency-Key"] = uuid4().hex
        return headers

    def content(self) -> bytes | None:
        """The body as JSON, in ASCII: what is no sound Unicode can be escaped, and the server then says what it thinks of it."""
        if self.body is None:
            return None
        return dumps(self.body, allow_nan=False, separators=(",", ":"), default=_plain).encode()

    def parameters(self) -> dict[str, str]:
        """The query, without what is not given."""
        return {name: _parameter(value) for name, value in (self.query or {}).items() if value is not None}


def get(path: str, **query: Any) -> Call:
    """Ask for something."""
    return Call(method="GET", path=path, query=query)


def post(path: str, body: Any = None, *, repeat: Repeat = Repeat.UNSENT, **query: Any) -> Call:
    """Make something, or have something done."""
    return Call(method="POST", path=path, body=body, query=query, repeat=repeat)


def patch(path: str, body: Any) -> Call:
    """Change something. Patches set values, so that a second one changes nothing more."""
    return Call(method="PATCH", path=path, body=body)


def delete(path: str) -> Call:
    """Take something away."""
    return Call(method="DELETE", path=path)


def _plain(value: Any) -> str:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, PathLike):
        return str(fspath(value))
    raise TypeError(f"JSON has no word for {type(value).__name__}.")


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(str(item) for item in value)
    return str(value)
