"""JSON in and out: fast where the fast parser can, exact where it cannot."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID

import msgspec
import orjson
from starlette.responses import Response

from hedgerow.api.protocol_errors import MalformedError
from hedgerow.domain.journal import wire_time

DEEPEST_NESTING = 600
"""Levels of arrays and objects in a body. Everything that reads a stored document again recurses, Python itself some 1000 calls deep."""

MOST_DIGITS = 4000
"""Digits of an integer in a body: Python itself reads and writes a few hundred more."""

_decoder = msgspec.json.Decoder()


def parse_json(raw: bytes) -> Any:
    """The value of a JSON document in UTF-8. Lone surrogates and integers of any sensible size are kept.

    MalformedError: not UTF-8, not JSON, a number that no double holds, an integer longer than `MOST_DIGITS`, or nested deeper than
    `DEEPEST_NESTING`.
    """
    try:
        value = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = _parse_slowly(raw)
    _check_nesting(raw, value)
    return value


def _parse_slowly(raw: bytes) -> Any:
    """For what the fast parser refuses: it takes no lone surrogate, which JSON allows as an escape (RFC 8259, section 8.2)."""
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite, parse_int=_integer)
    except UnicodeDecodeError as error:
        raise MalformedError("The body is not valid UTF-8.") from error
    except RecursionError as error:
        raise MalformedError(f"The body is nested deeper than {DEEPEST_NESTING} levels.") from error
    except ValueError as error:
        raise MalformedError(f"The body is not valid JSON: {error}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"{digits[:40]}... has more than {MOST_DIGITS} digits")
    return int(digits)


def _check_nesting(raw: bytes, value: Any) -> None:
    if raw.count(b"[") + raw.count(b"{") <= DEEPEST_NESTING:
        return  # it cannot be deeper than it has brackets
    level, depth = _containers([value]), 0
    while level:
        depth += 1
        if depth > DEEPEST_NESTING:
            raise MalformedError(f"The body is nested deeper than {DEEPEST_NESTING} levels.")
        level = [child for parent in level for child in _containers(parent.values() if isinstance(parent, dict) else parent)]


def _containers(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, (dict, list))]


def to_json(value: Any) -> bytes:
    """`value` as JSON in UTF-8, a UUID and a `moment` as their texts.

    What the fast writer refuses (huge integers, lone surrogates) is written with escapes.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_UTC_Z)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False, default=_text).encode("ascii")


def _text(value: object) -> str | None:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return wire_time(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def moment(value: datetime | None) -> datetime | str | None:
    """A moment as `to_json` writes it in the form of `wire_time`: by itself, but where the fast writer has another form for it."""
    return value if value is None or (value.microsecond and not value.utcoffset()) else wire_time(value)


class JsonResponse(Response):
    """An answer with a JSON body."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes of the body."""
        return to_json(content)
