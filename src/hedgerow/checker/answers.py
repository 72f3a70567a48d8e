"""Guarantee (g): a permission request is answered once."""

from collections import defaultdict

from hedgerow.checker.ends import has_ended
from hedgerow.checker.records import Heard, Kind
from hedgerow.checker.report import Guarantee
from hedgerow.checker.sorted_out import Call, Notes, RunHistory

_LETTER = Guarantee.ONE_ANSWER


def check_answers(run: RunHistory, notes: Notes) -> None:
    """One answer takes effect, and that is the one which the agent hears, once."""
    given: dict[str, list[Call]] = defaultdict(list)
    for call in run.calls_for(Kind.ANSWER):
        given[call.sent.items[0]].append(call)
    heard: dict[str, list[tuple[int, Heard]]] = defaultdict(list)
    for line, hearing in run.hearings:
        if hearing.kind is Kind.ANSWER:
            heard[hearing.item].append((line, hearing))
    for request in {**given, **heard}:
        notes.count(_LETTER)
        _check_request(run, notes, request, [call for call in given[request] if call.accepted], heard[request])


def _check_request(run: RunHistory, notes: Notes, request: str, accepted: list[Call], heard: list[tuple[int, Heard]]) -> None:
    where = f"permission request {request}"
    if len(accepted) > 1:
        notes.refute(_LETTER, "two answers took effect", run, where, *accepted[0].lines, *accepted[1].lines)
    if len(heard) > 1:
        notes.refute(_LETTER, "the agent heard two answers", run, where, heard[0][0], heard[1][0])
    if accepted and heard and heard[0][1].option != accepted[0].sent.items[1]:
        notes.refute(_LETTER, "the agent heard another answer", run, where, *accepted[0].lines, heard[0][0])
    if accepted and not heard and run.agent_in_scope and run.settled is not None and not has_ended(run):
        notes.refute(_LETTER, "the answer was lost", run, where, *accepted[0].lines, run.settled[0])
