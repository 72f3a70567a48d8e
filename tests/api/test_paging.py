"""Pages of a list."""

from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.datastructures import QueryParams

from hedgerow.api.paging import LARGEST_LIMIT, LARGEST_OFFSET, Window, page, window


@pytest.mark.parametrize("query", ["", "limit=&offset=", "limit=x&offset=y", "limit=-1&offset=-5", "limit=0", "limit=1.5", "limit=\u0661"])
def test_what_is_no_number_is_ignored(query: str) -> None:
    assert window(QueryParams(query)) == Window(100, 0)


def test_a_limit_is_honoured_up_to_a_thousand() -> None:
    assert window(QueryParams("limit=500&offset=7")) == Window(500, 7)
    assert window(QueryParams("limit=5000")).limit == LARGEST_LIMIT
    assert window(QueryParams(f"limit=9{'9' * 6000}&offset=9{'9' * 6000}")) == Window(LARGEST_LIMIT, LARGEST_OFFSET)


def test_links_are_absolute_and_keep_the_other_parameters() -> None:
    query = QueryParams("search=a b&limit=2&offset=2")
    body = page([1, 2], 5, Window(2, 2), "http://hedgerow.test/api/tasks/", query)
    following, previous = urlsplit(body["next"]), urlsplit(body["previous"])
    assert (following.scheme, following.netloc, following.path) == ("http", "hedgerow.test", "/api/tasks/")
    assert parse_qs(following.query) == {"search": ["a b"], "limit": ["2"], "offset": ["4"]}
    assert parse_qs(previous.query) == {"search": ["a b"], "limit": ["2"], "offset": ["0"]}


def test_the_ends_of_a_list_have_no_links_beyond() -> None:
    body = page([1], 1, Window(100, 0), "http://h/", QueryParams(""))
    assert body == {"count": 1, "next": None, "previous": None, "results": [1]}
