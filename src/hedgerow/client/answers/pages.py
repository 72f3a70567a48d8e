"""A page of a list."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Sequence[Item], Generic[Item]):
    """Some of a list: a sequence of its items.

    `total_count` is how many the whole list has, `has_more` whether some follow after this page.
    """

    items: tuple[Item, ...]
    total_count: int
    has_more: bool

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        return self.items[index]


def page_of(read: Callable[[Mapping[str, Any]], Item]) -> Callable[[Any], Page[Item]]:
    """A reader of pages whose items `read` reads."""

    def read_page(body: Any) -> Page[Item]:
        items = tuple(read(item) for item in body["results"])
        return Page(items, body.get("count", len(items)), body.get("next") is not None)

    return read_page
