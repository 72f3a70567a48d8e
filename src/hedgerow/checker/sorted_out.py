"""A history sorted out: by run, with each call beside its answer and each stream beside what came on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from hedgerow.checker.history import HistoryError
from hedgerow.checker.records import (
    ITEMS,
    Answered,
    ArtifactRead,
    Closed,
    Frame,
    Heard,
    InboxRead,
    Kind,
    Leftover,
    LogRead,
    Opened,
    PageRead,
    Record,
    Scope,
    Sent,
    Settled,
    StateRead,
)
from hedgerow.checker.report import Finding, Guarantee

NEVER = float("inf")
_Begun = TypeVar("_Begun")


@dataclass(slots=True)
class Call:
    """A call and what became of it. `line` and `answer_line` count records from 1."""

    line: int
    sent: Sent
    answer_line: int = 0
    answer: Answered | None = None

    @property
    def accepted(self) -> bool:
        """Whether it is known to have been accepted."""
        return self.answer is not None and self.answer.accepted

    @property
    def refused(self) -> bool:
        """Whether it is known to have been refused."""
        return self.answer is not None and not self.answer.accepted

    @property
    def answered_at(self) -> float:
        """When its client knew; never, where it never did."""
        return NEVER if self.answer is None else self.answer.at

    @property
    def lines(self) -> tuple[int, ...]:
        """The records of it."""
        return (self.line, self.answer_line) if self.answer else (self.line,)


@dataclass(slots=True)
class Reading:
    """One connection to a stream."""

    line: int
    opened: Opened
    frames: list[tuple[int, Frame]] = field(default_factory=list)
    closed_line: int = 0
    closed: Closed | None = None

    @property
    def drained(self) -> bool:
        """Whether the server ended it, since there was no more to come."""
        return self.closed is not None and self.closed.drained


@dataclass(slots=True)
class RunHistory:
    """Everything of one run. Reads stand in the order in which they were over, calls in that in which they were sent."""

    id: str
    calls: list[Call] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    logs: list[tuple[int, LogRead]] = field(default_factory=list)
    pages: list[tuple[int, PageRead]] = field(default_factory=list)
    states: list[tuple[int, StateRead]] = field(default_factory=list)
    inboxes: list[tuple[int, InboxRead]] = field(default_factory=list)
    artifacts: list[tuple[int, ArtifactRead]] = field(default_factory=list)
    hearings: list[tuple[int, Heard]] = field(default_factory=list)
    leftovers: list[tuple[int, Leftover]] = field(default_factory=list)
    entries_in_scope: bool = False
    agent_in_scope: bool = False
    settled: tuple[int, float] | None = None  # of the whole history
    written: set[str] = field(default_factory=set)  # the entries of people, which are theirs whatever they look like

    def calls_for(self, *kinds: Kind) -> list[Call]:
        """The calls of these kinds."""
        return [call for call in self.calls if call.sent.kind in kinds]


@dataclass(slots=True)
class Notes:
    """What the checks of a history have come to so far."""

    checks: dict[Guarantee, int] = field(default_factory=lambda: dict.fromkeys(Guarantee, 0))
    findings: list[Finding] = field(default_factory=list)
    _told: set[tuple[str, str, str, str]] = field(default_factory=set)

    def count(self, guarantee: Guarantee, facts: int = 1) -> None:
        """So many facts were looked at."""
        self.checks[guarantee] += facts

    def refute(self, guarantee: Guarantee, what: str, run: RunHistory, where: str, *evidence: int) -> None:
        """A guarantee was broken. What was found before is not told again."""
        if (guarantee, what, run.id, where) not in self._told:
            self._told.add((guarantee, what, run.id, where))
            self.findings.append(Finding(guarantee, what, run.id, where, tuple(sorted(set(evidence)))))


def sort_out(history: Sequence[Record]) -> list[RunHistory]:
    """The runs of a history.

    Raises HistoryError for an answer without its call, a frame of a stream that was not opened, and a call that lacks an item.
    """
    sorting = _Sorting()
    for line, record in enumerate(history, 1):
        sorting.take(line, record)
    for run in sorting.runs.values():
        run.calls.sort(key=lambda call: call.sent.at)
        run.hearings.sort(key=lambda hearing: hearing[1].at)
        for reads in (run.logs, run.pages, run.states, run.inboxes, run.artifacts, run.leftovers):
            reads.sort(key=lambda read: read[1].at)
        run.settled = sorting.settled
    return list(sorting.runs.values())


class _Sorting:
    def __init__(self) -> None:
        self.runs: dict[str, RunHistory] = {}
        self.settled: tuple[int, float] | None = None
        self._calls: dict[tuple[str, str], Call] = {}
        self._readings: dict[tuple[str, str], Reading] = {}

    def take(self, line: int, record: Record) -> None:  # noqa: C901 - one case for each kind of record
        match record:
            case Sent():
                _check_items(line, record)
                call = self._calls[record.client, record.call] = Call(line, record)
                run = self._run(record.run)
                run.calls.append(call)
                if record.kind is Kind.ENTRIES and record.epoch is None:
                    run.written.update(record.items)
            case Answered():
                call = _known(self._calls, record.client, record.call, line)
                call.answer_line, call.answer = line, record
            case Opened():
                reading = self._readings[record.client, record.reading] = Reading(line, record)
                self._run(record.run).readings.append(reading)
            case Frame():
                _known(self._readings, record.client, record.reading, line).frames.append((line, record))
            case Closed():
                reading = _known(self._readings, record.client, record.reading, line)
                reading.closed_line, reading.closed = line, record
            case LogRead():
                self._run(record.run).logs.append((line, record))
            case PageRead():
                self._run(record.run).pages.append((line, record))
            case StateRead():
                self._run(record.run).states.append((line, record))
            case InboxRead():
                self._run(record.run).inboxes.append((line, record))
            case ArtifactRead():
                self._run(record.run).artifacts.append((line, record))
            case Heard():
                self._run(record.run).hearings.append((line, record))
            case Leftover():
                self._run(record.run).leftovers.append((line, record))
            case Scope():
                run = self._run(record.run)
                run.entries_in_scope |= record.entries
                run.agent_in_scope |= record.agent
            case Settled():
                self.settled = (line, record.at)

    def _run(self, name: str) -> RunHistory:
        run = self.runs.get(name)
        if run is None:
            run = self.runs[name] = RunHistory(name)
        return run


def _known(found: dict[tuple[str, str], _Begun], client: str, name: str, line: int) -> _Begun:
    try:
        return found[client, name]
    except KeyError:
        raise HistoryError(f"record {line}: {client!r} began no {name!r} before") from None


def _check_items(line: int, sent: Sent) -> None:
    due = ITEMS.get(sent.kind, 1)
    if sent.kind is not Kind.ENTRIES and len(sent.items) != due:
        raise HistoryError(f"record {line}: a call of the kind {sent.kind} has {due} items, and this one {len(sent.items)}")
