"""Stretches of a journal that lie outside of the database, and which of their entries a reader wants."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hedgerow.domain.journal import EventKind

MOST_TYPES = 200
"""Of a stretch's entries: beyond that they are not counted by type."""


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """A numbered event with everything that is kept of it. A reader gets `text`, byte for byte.

    `first` is set where this stands for events that are lost: those from there to `number`.
    """

    number: int
    kind: EventKind
    event_type: str
    timestamp: datetime | None
    text: str
    first: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Which entries are meant. Empty: all."""

    after: datetime | None = None
    event_types: tuple[str, ...] = ()
    exclude_types: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether every entry passes."""
        return self.after is None and not self.event_types and not self.exclude_types

    def passes(self, event: KeptEvent) -> bool:
        """Whether an event is an entry that is meant. What stands for lost events always is: nobody knows what they were."""
        if event.first is not None:
            return True
        if event.kind is not EventKind.ENTRY or not self.allows(event.event_type):
            return False
        return self.after is None or (event.timestamp is not None and event.timestamp > self.after)

    def allows(self, name: str) -> bool:
        """Whether entries of a type are meant."""
        return (not self.event_types or name in self.event_types) and name not in self.exclude_types


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is known of the entries of a stretch without reading it."""

    entries: int
    types: Mapping[str, int] | None  # how many entries of which type; None: there are too many types
    earliest: datetime | None  # of the entries with a timestamp
    latest: datetime | None
    undated: int  # entries without a timestamp

    def matching(self, wanted: EntryFilter) -> int | None:
        """How many entries pass a filter; None where only reading them tells."""
        if wanted.after is not None and (self.latest is None or self.latest <= wanted.after):
            return 0
        if wanted.after is not None and (self.undated or self.earliest is None or self.earliest <= wanted.after):
            return None
        if not wanted.event_types and not wanted.exclude_types:
            return self.entries
        if self.types is None:
            return None
        return sum(count for name, count in self.types.items() if wanted.allows(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of a journal as an object: the events `first` to `last`, without gaps."""

    first: int
    last: int
    summary: Summary
    storage_path: str
    size_bytes: int
    sha256: bytes  # of the object


def summarize(events: Sequence[KeptEvent]) -> Summary:
    """What a stretch of events holds."""
    entries = [event for event in events if event.kind is EventKind.ENTRY]
    types = Counter(event.event_type for event in entries)
    stamps = [event.timestamp for event in entries if event.timestamp is not None]
    return Summary(
        entries=len(entries),
        types=dict(types) if len(types) <= MOST_TYPES else None,
        earliest=min(stamps, default=None),
        latest=max(stamps, default=None),
        undated=len(entries) - len(stamps),
    )


def unbroken(events: Sequence[KeptEvent], after: int) -> Sequence[KeptEvent]:
    """The events that follow each other without a gap from the one after `after` on."""
    count = 0
    for event in events:
        if event.number != after + 1 + count:
            break
        count += 1
    return events if count == len(events) else events[:count]
