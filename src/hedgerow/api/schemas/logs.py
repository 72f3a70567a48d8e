"""Logs over the wire (contract 5.3, 7.3)."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from hedgerow.api.schemas.fields import LARGEST_INTEGER, Integer, Moment, Optionally, RequestModel, Text
from hedgerow.operations.logs import LogFilters

LARGEST_PAGE = 5000


class LogAppend(BaseModel):
    """The body of append_log."""

    entries: Annotated[list[dict[str, Any]], Field(min_length=1, description="Log entries: objects of any shape, kept as they are sent.")]


class SessionLogQuery(RequestModel):
    """What session_logs narrows and pages by."""

    after: Optionally[Moment] = Field(None, description="Only entries whose timestamp is later than this.")
    event_types: Text = Field("", description="Only these, separated by commas.")
    exclude_types: Text = Field("", description="Not these, separated by commas; applied after event_types.")
    limit: Annotated[Integer, Field(ge=1, le=LARGEST_PAGE)] = 1000
    offset: Annotated[Integer, Field(ge=0, le=LARGEST_INTEGER)] = 0

    def filters(self) -> LogFilters:
        """What the operation is asked for."""
        return LogFilters(
            after=self.after,
            event_types=_items(self.event_types),
            exclude_types=_items(self.exclude_types),
            limit=self.limit,
            offset=self.offset,
        )


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())
