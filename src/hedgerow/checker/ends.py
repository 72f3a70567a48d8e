"""Guarantees (d) and (e): every run ends in time, with a reason, for good; and then nothing of it is left."""

from hedgerow.checker.bounds import Bounds
from hedgerow.checker.records import Kind, StateRead
from hedgerow.checker.report import Guarantee
from hedgerow.checker.sorted_out import NEVER, Call, Notes, RunHistory
from hedgerow.domain.runs import EndReason, RunStatus

_TERMINAL = frozenset(status.value for status in RunStatus if status.terminal)
_REASONS = frozenset(reason.value for reason in EndReason)
_REVIVES = (Kind.START, Kind.OPEN)


def has_ended(run: RunHistory) -> bool:
    """Whether the run was seen to have ended, at any time."""
    return any(read.status in _TERMINAL for _, read in run.states)


def is_over(run: RunHistory) -> bool:
    """Whether the run had ended when it was looked at last."""
    return bool(run.states) and run.states[-1][1].status in _TERMINAL


def check_end(run: RunHistory, notes: Notes, bounds: Bounds) -> None:
    """Each start leads to an end within its bound; an end has a reason; and it stays as it is until somebody asks for more."""
    for line, read in run.states:
        if read.status in _TERMINAL:
            notes.count(Guarantee.ENDS)
            if read.end_reason not in _REASONS:
                notes.refute(Guarantee.ENDS, "an end without a reason", run, f"{read.status}, because of {read.end_reason}", line)
    _check_lasting(run, notes)
    turns = run.calls_for(*_REVIVES)
    for index, call in enumerate(turns):
        if call.sent.kind is Kind.START and call.accepted:
            _check_bound(run, notes, call, turns[index + 1].sent.at if index + 1 < len(turns) else NEVER, bounds)


def _check_lasting(run: RunHistory, notes: Notes) -> None:
    before: tuple[int, StateRead] | None = None
    for line, read in run.states:
        if before is not None and before[1].at < read.since and not _asked_between(run, before[1].since, read.at, *_REVIVES):
            if read.status not in _TERMINAL:
                where = f"{before[1].status} and later {read.status}"
                notes.refute(Guarantee.ENDS, "an end that did not last", run, where, before[0], line)
            elif _end(read) != _end(before[1]) and not _asked_between(run, before[1].since, read.at, Kind.END):
                where = f"{_end(before[1])} and later {_end(read)}"
                notes.refute(Guarantee.ENDS, "an end that changed", run, where, before[0], line)
        if read.status in _TERMINAL and (before is None or before[1].at < read.since):
            before = (line, read)
        elif read.status not in _TERMINAL:
            before = None


def _end(read: StateRead) -> tuple[str, str | None]:
    return read.status, read.end_reason


def _asked_between(run: RunHistory, since: float, until: float, *kinds: Kind) -> bool:
    """Whether a call of these kinds may have taken effect between two moments."""
    return any(call.sent.at <= until and call.answered_at >= since and not call.refused for call in run.calls_for(*kinds))


def _check_bound(run: RunHistory, notes: Notes, start: Call, until: float, bounds: Bounds) -> None:
    """The end that follows a start, unless the run was taken over or started again before its time was up."""
    due = start.answered_at + bounds.end_seconds
    if until <= due:
        return
    ended = [(line, read) for line, read in run.states if read.status in _TERMINAL and start.answered_at <= read.at and read.since <= until]
    if any(read.at <= due for _, read in ended):
        notes.count(Guarantee.ENDS)
        return
    late = [line for line, read in run.states if due < read.since <= until and read.status not in _TERMINAL]
    evidence = late[0] if late else run.settled[0] if run.settled is not None and run.settled[1] > due and not ended else 0
    if evidence:
        notes.count(Guarantee.ENDS)
        where = f"started, and not ended {bounds.end_seconds:g} seconds later"
        notes.refute(Guarantee.ENDS, "a run that did not end", run, where, *start.lines, evidence)


def check_leftovers(run: RunHistory, notes: Notes, bounds: Bounds) -> None:
    """Some time after the end there is no process, no container, no workspace, and no agent that hears anything."""
    seen = [*((line, left.at, left.what) for line, left in run.leftovers), *((line, heard.at, "an agent") for line, heard in run.hearings)]
    ends = [(line, read) for line, read in run.states if read.status in _TERMINAL]
    notes.count(Guarantee.LEAVES_NOTHING, len(ends))
    for line, at, what in seen:
        for end_line, end in ends:
            if at > end.at + bounds.leave_seconds and not _asked_between(run, end.since, at, *_REVIVES):
                where = f"{what}, {at - end.at:.1f} seconds after the end"
                notes.refute(Guarantee.LEAVES_NOTHING, "something that was left", run, where, end_line, line)
                break
