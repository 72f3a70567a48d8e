"""Pages of a list: `{"count", "next", "previous", "results"}`, with absolute URLs (contract 1.5)."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1000
LARGEST_OFFSET = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list is wanted."""

    limit: int
    offset: int


def window(query: QueryParams) -> Window:
    """The part that `limit` and `offset` ask for. What is no sensible number is ignored."""
    limit = min(_number(query.get("limit", "")) or DEFAULT_LIMIT, LARGEST_LIMIT)
    return Window(limit, min(_number(query.get("offset", "")), LARGEST_OFFSET))


def _number(text: str) -> int:
    """0 for anything but plain digits; what is too long to be meant counts as the largest offset."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal()):
        return 0
    return int(digits) if len(digits) < 12 else LARGEST_OFFSET


def page(results: list[Any], count: int, part: Window, url: str, query: QueryParams) -> dict[str, Any]:
    """The body of a page. `url` is the absolute address of the list, without its query."""
    following = part.offset + part.limit
    return {
        "count": count,
        "next": _address(url, query, part.limit, following) if following < count else None,
        "previous": _address(url, query, part.limit, max(0, part.offset - part.limit)) if part.offset > 0 else None,
        "results": results,
    }


def _address(url: str, query: QueryParams, limit: int, offset: int) -> str:
    kept = [(name, value) for name, value in query.multi_items() if name not in {"limit", "offset"}]
    return f"{url}?{urlencode([*kept, ('limit', limit), ('offset', offset)])}"
