"""The checker: every guarantee, held against every run of a history."""

from collections.abc import Sequence

from hedgerow.checker.answers import check_answers
from hedgerow.checker.bounds import Bounds
from hedgerow.checker.ends import check_end, check_leftovers
from hedgerow.checker.entries import check_entries
from hedgerow.checker.epochs import check_epochs
from hedgerow.checker.kept import check_artifacts, check_commands
from hedgerow.checker.messages import check_messages
from hedgerow.checker.records import Record
from hedgerow.checker.report import Report
from hedgerow.checker.sorted_out import Notes, sort_out
from hedgerow.checker.tellings import read_tellings


def check(history: Sequence[Record], bounds: Bounds | None = None) -> Report:
    """Hold a history against the guarantees. Raises HistoryError where it contradicts itself.

    What the history cannot show is not refuted: a call without an answer may have been accepted or not, and what was not looked at
    again may be there or not.
    """
    chosen = bounds or Bounds()
    notes = Notes()
    for run in sort_out(history):
        tellings = read_tellings(run)
        check_entries(run, notes)
        check_artifacts(run, notes)
        check_commands(run, notes)
        check_messages(run, notes, tellings)
        check_end(run, notes, chosen)
        check_leftovers(run, notes, chosen)
        check_epochs(run, notes)
        check_answers(run, notes, tellings)
    return Report(notes.checks, tuple(notes.findings))
