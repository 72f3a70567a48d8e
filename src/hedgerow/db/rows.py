"""Rows of joined tables, and JSON columns that keep what they were given."""

import json
import re
from collections.abc import Sequence
from functools import cache
from typing import Any, LiteralString, overload

from psycopg import sql
from psycopg.types.json import Json


def prefixed(alias: LiteralString, names: Sequence[LiteralString]) -> sql.Composed:
    """`alias.name AS alias__name` for each name, so that one row can hold several nouns."""
    return sql.SQL(", ").join(
        sql.SQL("{}.{} AS {}").format(sql.Identifier(alias), sql.Identifier(name), sql.Identifier(f"{alias}__{name}")) for name in names
    )


@cache
def keyed(prefix: str, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Each name with its key in a row of joined tables."""
    return tuple((name, prefix + name) for name in names)


def as_json(value: Any) -> Json:
    """A value for a `json` column. Written in ASCII, so that a NUL or a lone surrogate of a client survives as its escape."""
    return Json(value, dumps=json.dumps)


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def is_storable(text: str) -> bool:
    """Whether a `text` column keeps a text as it is."""
    return _UNSTORABLE.search(text) is None


@overload
def storable(text: str) -> str: ...
@overload
def storable(text: None) -> None: ...
@overload
def storable(text: str | None) -> str | None: ...
def storable(text: str | None) -> str | None:
    """A value for a `text` column, which can hold neither NUL nor a lone surrogate: each becomes U+FFFD."""
    return None if text is None else _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
