"""A page of a list."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """Which part of a list is asked for."""

    limit: int = 100
    offset: int = 0

    @property
    def bounded_limit(self) -> int:
        """The limit that is honoured: 1 to 1000."""
        return min(max(self.limit, 1), 1000)

    @property
    def bounded_offset(self) -> int:
        """The offset that a database can count to."""
        return min(max(self.offset, 0), 2**62)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """A part of a list. `count` is the length of the whole list."""

    count: int
    items: list[Item]
