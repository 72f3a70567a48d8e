"""Guarantee (a) for artifacts and commands. Entries and messages have files of their own."""

from hedgerow.checker.records import Kind
from hedgerow.checker.report import Guarantee
from hedgerow.checker.sorted_out import Notes, RunHistory

_LETTER = Guarantee.KEPT


def check_artifacts(run: RunHistory, notes: Notes) -> None:
    """Who fetches an accepted artifact afterwards gets what was sent, and not something else of that name."""
    for line, read in run.artifacts:
        calls = [call for call in run.calls_for(Kind.ARTIFACT) if call.sent.items[0] == read.name]
        accepted = [call for call in calls if call.accepted and call.answered_at < read.since]
        where = f"artifact {read.name}"
        if accepted:
            notes.count(_LETTER)
        if accepted and read.digest is None:
            notes.refute(_LETTER, "a lost artifact", run, where, *accepted[-1].lines, line)
        elif read.digest is not None and calls and all(call.sent.items[1] != read.digest for call in calls):
            notes.refute(_LETTER, "an altered artifact", run, where, *calls[-1].lines, line)


def check_commands(run: RunHistory, notes: Notes) -> None:
    """The agent hears an accepted command, once. It can be held against a run only where all that its agent heard is known."""
    heard: dict[str, list[int]] = {}
    for line, hearing in run.hearings:
        if hearing.kind is Kind.COMMAND:
            heard.setdefault(hearing.item, []).append(line)
    for word, lines in heard.items():
        if len(lines) > 1:
            notes.refute(_LETTER, "a doubled command", run, f"command {word}", *lines[:2])
    if not run.agent_in_scope or run.settled is None:
        return
    for call in run.calls_for(Kind.COMMAND):
        if call.accepted and call.answered_at < run.settled[1]:
            notes.count(_LETTER)
            if call.sent.items[0] not in heard:
                notes.refute(_LETTER, "a lost command", run, f"command {call.sent.items[0]}", *call.lines, run.settled[0])
