"""Pages of a run's log (contract 7.3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hedgerow.client.answers.pages import Page

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LogPage(Page[Entry]):
    """Some entries of a log: a sequence of them. `total_count` is how many the log has, the others how many of these pass the filters."""

    filtered_count: int
    matching_count: int


def log_page_from(entries: list[Entry], headers: Mapping[str, str]) -> LogPage:
    """A page from the entries of an answer and its headers."""
    total, filtered, matching = (int(headers.get(f"X-{name}-Count", len(entries))) for name in ("Total", "Filtered", "Matching"))
    return LogPage(tuple(entries), total, headers.get("X-Has-More") == "true", filtered, matching)
