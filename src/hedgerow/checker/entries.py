"""Guarantees (a) and (b) for the journal: every event once, in order, without gaps, in the same bytes for all; nothing accepted is lost."""

import heapq
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hedgerow.checker.records import Kind
from hedgerow.checker.report import Guarantee
from hedgerow.checker.sorted_out import NEVER, Call, Notes, Reading, RunHistory

_KEPT, _ONCE = Guarantee.KEPT, Guarantee.READ_ONCE
_ON_THE_STREAM_ALONE = frozenset(
    {
        "task_run_state",
        "permission_request",
        "permission_resolved",
        "permission_answered",
        "permission_delivered",
        "permission_void",
        "message_status",
    }
)
_WORDS = ("task_run_state", "permission_", "message_status")  # what all of their texts hold

_LOST, _DOUBLED, _REORDERED = "a lost event", "a doubled event", "events out of order"
_ALTERED, _INVENTED = "an altered event", "an invented event"


@dataclass(slots=True)
class _Journal:
    """What is known of a run's journal from those who read it: the first text seen under each number, when, and by which record."""

    texts: dict[int, str] = field(default_factory=dict)
    lines: dict[int, int] = field(default_factory=dict)
    times: dict[int, float] = field(default_factory=dict)

    def whole(self) -> list[tuple[int, str]]:
        """The events from number 1 up to the first that nobody has read."""
        found: list[tuple[int, str]] = []
        while (number := len(found) + 1) in self.texts:
            found.append((number, self.texts[number]))
        return found

    def head_before(self, moment: float) -> int:
        """The highest number that somebody had read before a moment."""
        return max((number for number, at in self.times.items() if at < moment), default=0)


@dataclass(frozen=True, slots=True)
class _View:
    """The entries of a run from the first on, as somebody read them."""

    line: int
    since: float
    at: float
    texts: Sequence[str]


def check_entries(run: RunHistory, notes: Notes) -> None:
    """The streams against each other, the logs against the streams, and both against what was accepted."""
    if not (run.readings or run.logs or run.pages):
        return
    journal = _read_streams(run, notes)
    _check_drained(run, notes, journal)
    whole = journal.whole()
    entries = [text for _, text in whole if _is_entry(run, text)]
    logs = [_View(line, read.since, read.at, read.texts) for line, read in run.logs]
    reference = max([entries, *(log.texts for log in logs)], key=len)
    if len(entries) < len(reference):
        reference = [*entries, *reference[len(entries) :]]
    for log in logs:
        _compare(run, notes, log.line, reference, log.texts, 0)
    for line, read in run.pages:
        _compare(run, notes, line, reference, read.texts, read.offset)
    _check_logs_grow(run, notes, logs, journal)
    views = [*logs, *_views_of_streams(run, whole)]
    if views:
        _check_accepted(run, notes, views)


def _is_entry(run: RunHistory, text: str) -> bool:
    """Whether an event of the stream is shown by the logs as well."""
    if text in run.written or not any(word in text for word in _WORDS):
        return True
    try:
        document = json.loads(text)
    except ValueError:
        return True
    return not (isinstance(document, dict) and document.get("type") in _ON_THE_STREAM_ALONE)


def _read_streams(run: RunHistory, notes: Notes) -> _Journal:
    """Hold every stream against its cursor, and all of them against each other; what they show of the journal."""
    journal = _Journal()
    for reading in sorted(run.readings, key=lambda reading: reading.opened.at):
        _check_numbers(run, notes, reading)
        for line, frame in reading.frames:
            notes.count(_ONCE)
            known = journal.texts.setdefault(frame.number, frame.text)
            first = journal.lines.setdefault(frame.number, line)
            journal.times[frame.number] = min(frame.at, journal.times.get(frame.number, NEVER))
            if known != frame.text:
                notes.refute(_ONCE, _ALTERED, run, f"event {frame.number} differs between two readers", first, line)
    return journal


def _check_numbers(run: RunHistory, notes: Notes, reading: Reading) -> None:
    """After the event of number n comes that of number n + 1."""
    numbers = {frame.number: line for line, frame in reversed(reading.frames)}
    expected, before = reading.opened.after + 1, reading.line
    for line, frame in reading.frames:
        if frame.number > expected:
            missing = numbers.get(expected)
            where = f"event {frame.number} where {expected} was due"
            notes.refute(_ONCE, _LOST if missing is None else _REORDERED, run, where, before, line, *([missing] if missing else []))
        elif frame.number < expected:
            first = numbers[frame.number]
            if frame.number <= reading.opened.after or first != line:
                where = f"event {frame.number} again, after event {expected - 1}"
                notes.refute(_ONCE, _DOUBLED, run, where, first if first != line else reading.line, line)
        expected, before = max(expected, frame.number + 1), line


def _check_drained(run: RunHistory, notes: Notes, journal: _Journal) -> None:
    """A stream that the server ended holds everything that anybody had read before it was opened."""
    for reading in run.readings:
        if not reading.drained:
            continue
        notes.count(_ONCE)
        last = max([reading.opened.after, *(frame.number for _, frame in reading.frames)])
        head = journal.head_before(reading.opened.at)
        if last < head:
            notes.refute(_ONCE, _LOST, run, f"the stream ended after event {last}", journal.lines[head], reading.line, reading.closed_line)


def _compare(run: RunHistory, notes: Notes, line: int, reference: Sequence[str], texts: Sequence[str], offset: int) -> None:
    """A log is the beginning of the run's entries, a page a piece of them."""
    due = reference[offset : offset + len(texts)]
    notes.count(_ONCE, len(texts))
    if tuple(due) == tuple(texts):
        return
    place = next((index for index, pair in enumerate(zip(due, texts, strict=False)) if pair[0] != pair[1]), len(due))
    where = f"entry {offset + place + 1} is not what other readers read there"
    notes.refute(_ONCE, _difference(reference[offset:], texts, place), run, where, line)


def _difference(due: Sequence[str], texts: Sequence[str], place: int) -> str:
    """What has happened at the first place where texts differ from those that are due."""
    rest, found = tuple(due[place:]), tuple(texts[place:])
    if found[1:2] == rest[0:1] and found[0:1] == rest[1:2]:
        return _REORDERED
    if found[0] in texts[:place]:
        return _DOUBLED
    if found[0:1] == rest[1:2]:
        return _LOST
    return _INVENTED if found[1:2] == rest[0:1] else _ALTERED


def _check_logs_grow(run: RunHistory, notes: Notes, logs: Sequence[_View], journal: _Journal) -> None:
    """What was read once is there for all who read later."""
    longest: _View | None = None
    for log in logs:  # in the order in which they were over
        if longest is not None and longest.at < log.since and len(log.texts) < len(longest.texts):
            where = f"{len(log.texts)} entries where there were {len(longest.texts)} before"
            notes.refute(_ONCE, _LOST, run, where, longest.line, log.line)
        if longest is None or len(log.texts) > len(longest.texts):
            longest = log
        head = journal.head_before(log.since)
        shown = sum(_is_entry(run, journal.texts[number]) for number in range(1, head + 1) if number in journal.texts)
        if len(log.texts) < shown:
            where = f"{len(log.texts)} entries where readers of the stream had {shown} before"
            notes.refute(_ONCE, _LOST, run, where, journal.lines[head], log.line)


def _views_of_streams(run: RunHistory, whole: Sequence[tuple[int, str]]) -> list[_View]:
    """What streams that the server ended show of the journal from its beginning on."""
    views = []
    for reading in run.readings:
        if reading.drained and reading.opened.after <= len(whole) and reading.closed is not None:
            before = [text for _, text in whole[: reading.opened.after]]
            texts = [text for text in [*before, *(frame.text for _, frame in reading.frames)] if _is_entry(run, text)]
            views.append(_View(reading.closed_line, reading.opened.at, reading.closed.at, texts))
    return views


def _check_accepted(run: RunHistory, notes: Notes, views: Sequence[_View]) -> None:
    """Every accepted entry is there once for whoever begins to read afterwards, in the order in which it was given."""
    calls = _once_per_key(run.calls_for(Kind.ENTRIES))
    for view in views:
        counts = Counter(view.texts)
        accepted = [call for call in calls if call.accepted and call.answered_at < view.since]
        _check_lost(run, notes, view, counts, accepted)
        _check_doubled(run, notes, view, counts, [call for call in calls if not call.refused])
        _check_given_order(run, notes, view, counts, [call for call in calls if not call.refused])


def _once_per_key(calls: Sequence[Call]) -> list[Call]:
    """The calls, those that were repeated under one key as one: sent when it was sent first, and answered as one of them was."""
    chosen: dict[str, Call] = {}
    for call in calls:
        name = f"line {call.line}" if call.sent.key is None else f"{call.sent.client} {call.sent.key}"
        known = chosen.setdefault(name, Call(call.line, call.sent, call.answer_line, call.answer))
        if not known.accepted and not call.refused:
            known.answer_line, known.answer = call.answer_line, call.answer
    return list(chosen.values())


def _check_lost(run: RunHistory, notes: Notes, view: _View, counts: Counter[str], accepted: Sequence[Call]) -> None:
    due = Counter(text for call in accepted for text in call.sent.items)
    notes.count(_KEPT, due.total())
    for call in accepted:
        for text in call.sent.items:
            if counts[text] < due[text]:
                notes.refute(_KEPT, "a lost entry", run, f"entry {text[:80]!r} is not there", *call.lines, view.line)


def _check_doubled(run: RunHistory, notes: Notes, view: _View, counts: Counter[str], possible: Sequence[Call]) -> None:
    """No entry is there more often than it was sent; where all that was written is known, none that nobody sent."""
    due = Counter(text for call in possible for text in call.sent.items)
    for text, count in counts.items():
        if text in due and count > due[text]:
            lines = next(call.lines for call in possible if text in call.sent.items)
            notes.refute(_ONCE, _DOUBLED, run, f"entry {text[:80]!r} is there {count} times", *lines, view.line)
        elif text not in due and run.entries_in_scope:
            notes.refute(_ONCE, _INVENTED, run, f"entry {text[:80]!r} was sent by nobody", view.line)


def _check_given_order(run: RunHistory, notes: Notes, view: _View, counts: Counter[str], calls: Sequence[Call]) -> None:
    """The entries of a call stand in its order, and after those of calls that had been answered before it was sent."""
    places = {text: index for index, text in enumerate(view.texts) if counts[text] == 1}
    ends: list[tuple[float, int, int, Call]] = []  # a heap of when a call was answered, where its last entry stands, and its line
    last: tuple[int, Call] | None = None  # the last place of a call that was answered before
    for call in calls:
        while ends and ends[0][0] < call.sent.at:
            _, place, _, answered = heapq.heappop(ends)
            last = (place, answered) if last is None or place > last[0] else last
        found = [places[text] for text in call.sent.items if text in places]
        if found != sorted(found):
            notes.refute(_ONCE, _REORDERED, run, "the entries of one call", *call.lines, view.line)
        if found and last is not None and found[0] < last[0]:
            notes.refute(_ONCE, _REORDERED, run, "the entries of two calls", *last[1].lines, *call.lines, view.line)
        if found and call.accepted:
            heapq.heappush(ends, (call.answered_at, found[-1], call.line, call))
