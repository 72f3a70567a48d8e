import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.domain.errors import InvalidError
from hedgerow.operations.entries import parse

_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters())
_values = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8)
_objects = st.dictionaries(st.text(st.characters(codec=None)), _values | st.text(st.characters(codec=None)), max_size=4)
_spaces = st.sampled_from(["", " ", "\n", "\r\n", "\t "])


@settings(max_examples=60, deadline=None)
@given(objects=st.lists(_objects, min_size=1, max_size=4), ascii_only=st.booleans(), space=_spaces, indent=st.sampled_from([None, 1]))
def test_an_entry_is_kept_as_it_was_written(objects: list[dict[str, Any]], ascii_only: bool, space: str, indent: int | None) -> None:
    sources = [_dumped(value, ascii_only, indent) for value in objects]
    body = f'{space}{{{space}"other":[{{"entries":[]}}],{space}"entries"{space}:{space}[{space}'
    body += f"{space},{space}".join(sources) + f'{space}]{space},"last":"]}}"}}{space}'

    entries = parse(body.encode())

    assert [entry.text for entry in entries] == [source.replace("\n", "") for source in sources]
    assert [entry.value for entry in entries] == [json.loads(source) for source in sources]


def _dumped(value: dict[str, Any], ascii_only: bool, indent: int | None) -> str:
    """JSON that can be sent: lone surrogates are escaped, which UTF-8 has no bytes for."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return text


@pytest.mark.parametrize(
    "source",
    [
        '{"b":1,"a":2,"b":3}',
        '{"n":1.0,"m":1e5,"o":-0,"p":123456789012345678901234567890,"q":1E400,"r":0.10}',
        f'{{"n":1{"0" * 5000},"m":-{"9" * 10_000}}}',
        '{"s":"\\u0000\\ud800 \\u00e9é\\/","\\udfff":"\\ud83d\\ude00😀"}',
        '{ "a" :\t[ ] }',
    ],
)
def test_forms_that_parsers_like_to_change_are_kept(source: str) -> None:
    assert [entry.text for entry in parse(f'{{"entries":[{source}]}}'.encode())] == [source]


@pytest.mark.parametrize(
    ("body", "attr", "code"),
    [
        (b"{}", "entries", "required"),
        (b'{"entries":null}', "entries", "null"),
        (b'{"entries":{}}', "entries", "not_a_list"),
        (b'{"entries":"[]"}', "entries", "not_a_list"),
        (b'{"entries":[]}', "entries", "invalid_input"),
        (b'{"entries":[{},1]}', "entries__1", "not_a_dict"),
        (b'{"entries":[{"a":"\\ud800"},[]]}', "entries__1", "not_a_dict"),
        (b'{"entries":[null]}', "entries__0", "not_a_dict"),
        (b"[]", None, "not_a_dict"),
        (b"", None, "parse_error"),
        (b'{"entries":[{}]', None, "parse_error"),
        (b'{"entries":[{"a":NaN}]}', None, "parse_error"),
        (b'{"entries":[{"a":-Infinity}]}', None, "parse_error"),
        (b'{"entries":[{"a":"x\ny"}]}', None, "parse_error"),
        (b'{"entries":[{"a":"\x00"}]}', None, "parse_error"),
        (b'{"entries":[{"a":"\xff"}]}', None, "parse_error"),
        (b'{"entries":[{"a":"\xed\xa0\x80"}]}', None, "parse_error"),
        (b'{"entries":[{"a":"\\ud800"}]}x', None, "parse_error"),
        (b'{"entries":[' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"]}", None, "parse_error"),
    ],
)
def test_a_body_that_is_wrong_is_refused_as_a_whole(body: bytes, attr: str | None, code: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        parse(body)

    assert (refusal.value.attr, refusal.value.detail_code) == (attr, code)


def test_the_last_of_two_members_counts() -> None:
    body = b'{"entries":[{"a":"\\ud800"}],"entries":[{"b":"\\ud800"}]}'

    assert [entry.text for entry in parse(body)] == ['{"b":"\\ud800"}']
