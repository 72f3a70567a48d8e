"""The body of append_log: read without changing what will be stored (contract 5.3 and 13.1).

An entry is kept as the very bytes that its client sent; only line breaks between tokens are dropped. A fast parser finds the
entries; a slower one takes over where the fast one refuses what JSON allows: lone surrogates, and numbers beyond a double.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from hedgerow.domain.errors import InvalidError
from hedgerow.domain.journal import integer


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it will be stored, and as it is understood."""

    text: str
    value: dict[str, Any]


class _Body(msgspec.Struct):
    entries: list[msgspec.Raw]


_FIND_ENTRIES = msgspec.json.Decoder(_Body)
_UNDERSTAND = msgspec.json.Decoder()
_LINE_BREAKS = str.maketrans("", "", "\r\n")


def parse(body: bytes) -> list[Entry]:
    """The entries of a request.

    Raises InvalidError: detail_code `parse_error` for bytes that are no JSON in UTF-8, else attr `entries` or `entries__i`.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as problem:
        raise _no_json(f"the body is not UTF-8 at byte {problem.start}") from problem
    try:
        pairs = [(bytes(raw).decode(), _UNDERSTAND.decode(raw)) for raw in _FIND_ENTRIES.decode(body).entries]
    except (msgspec.MsgspecError, RecursionError):
        pairs = _parse_slowly(text)
    if not pairs:
        raise InvalidError("entries must hold at least one entry.", attr="entries", detail_code="invalid_input")
    return [_entry(index, source, value) for index, (source, value) in enumerate(pairs)]


def _entry(index: int, source: str, value: Any) -> Entry:
    if not isinstance(value, dict):
        raise InvalidError("An entry must be a JSON object.", attr=f"entries__{index}", detail_code="not_a_dict")
    # A line break inside a string would be no JSON, so each one stands between tokens.
    return Entry(source.translate(_LINE_BREAKS) if "\n" in source or "\r" in source else source, value)


def _no_json(reason: str) -> InvalidError:
    return InvalidError(f"The body is not JSON: {reason}.", detail_code="parse_error")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=integer)
_SPACE = " \t\r\n"


def _parse_slowly(text: str) -> list[tuple[str, Any]]:
    """As the fast way, exactly as the standard library reads JSON; and it knows what is wrong where something is."""
    try:
        body = _DECODER.decode(text)
        entries = _check_entries(body)
        return list(zip(_sources(text), entries, strict=True))
    except RecursionError as problem:
        raise _no_json("it is nested too deeply") from problem
    except ValueError as problem:
        raise _no_json(str(problem)) from problem


def _check_entries(body: Any) -> list[Any]:
    if not isinstance(body, dict):
        raise InvalidError("The body must be a JSON object.", detail_code="not_a_dict")
    if "entries" not in body:
        raise InvalidError("This field is required.", attr="entries", detail_code="required")
    entries = body["entries"]
    if entries is None:
        raise InvalidError("This field may not be null.", attr="entries", detail_code="null")
    if not isinstance(entries, list):
        raise InvalidError("entries must be a list.", attr="entries", detail_code="not_a_list")
    return entries


def _sources(text: str) -> list[str]:
    """The slices of the elements of the last member `entries` of an object that is known to be sound."""
    found: list[str] = []
    position = _after_space(text, _after_space(text, 0) + 1)
    while text[position] != "}":
        name, position = _DECODER.raw_decode(text, position)
        position = _after_space(text, _after_space(text, position) + 1)
        if name == "entries" and text[position] == "[":
            found = list(_elements(text, position))
        _value, position = _DECODER.raw_decode(text, position)
        position = _after_comma(text, position)
    return found


def _elements(text: str, position: int) -> Iterator[str]:
    position = _after_space(text, position + 1)
    while text[position] != "]":
        _value, end = _DECODER.raw_decode(text, position)
        yield text[position:end]
        position = _after_comma(text, end)


def _after_space(text: str, position: int) -> int:
    while text[position] in _SPACE:
        position += 1
    return position


def _after_comma(text: str, position: int) -> int:
    position = _after_space(text, position)
    return _after_space(text, position + 1) if text[position] == "," else position
