"""JSON in and out."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.api.json_bytes import DEEPEST_NESTING, parse_json, to_json
from hedgerow.api.protocol_errors import MalformedError

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=50, deadline=None)
@given(values)
def test_what_is_written_is_read_back(value: object) -> None:
    assert parse_json(to_json(value)) == value


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with suppress(MalformedError):
        parse_json(raw)


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"NaN", b"[Infinity]", b"1e999", b"1" * 5000, b'"\x01"', b"\xef\xbb\xbf{}", b"[1,]"])
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_json(raw)


@pytest.mark.parametrize("depth", [DEEPEST_NESTING + 1, 900, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    for raw in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth):
        with pytest.raises(MalformedError, match="nested"):
            parse_json(raw)


def test_nesting_up_to_the_bound_is_read_and_written() -> None:
    raw = b"[" * DEEPEST_NESTING + b"]" * DEEPEST_NESTING
    assert to_json(parse_json(raw)) == raw


def test_a_lone_surrogate_survives() -> None:
    assert parse_json(b'"\\ud800"') == "\ud800"
    assert json.loads(to_json({"a": "\ud800"})) == {"a": "\ud800"}


def test_an_integer_that_is_too_long_is_refused_in_our_own_words() -> None:
    with pytest.raises(MalformedError, match=r"digits") as raised:
        parse_json(b'{"n":1' + b"0" * 5000 + b"}")
    assert "sys." not in raised.value.message
    assert parse_json(b"9" * 4000) == int("9" * 4000)
