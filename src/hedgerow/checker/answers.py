"""Guarantee (g): a permission request is answered once."""

from collections import defaultdict
from collections.abc import Sequence

from hedgerow.checker.ends import has_ended, is_over
from hedgerow.checker.records import Heard, Kind
from hedgerow.checker.report import Guarantee
from hedgerow.checker.sorted_out import Call, Notes, RunHistory
from hedgerow.checker.tellings import Telling, Tellings

_LETTER = Guarantee.ONE_ANSWER
_BEFORE = {  # what may have been told of a request before, by what is told of it
    "asked": frozenset({None}),
    "answered": frozenset({"asked"}),
    "delivered": frozenset({"answered"}),
    "void": frozenset({"asked", "answered"}),
}


def check_answers(run: RunHistory, notes: Notes, tellings: Tellings) -> None:
    """One answer takes effect, and that is the one which the agent hears, once; events tell of it."""
    given: dict[str, list[Call]] = defaultdict(list)
    for call in run.calls_for(Kind.ANSWER):
        given[call.sent.items[0]].append(call)
    heard: dict[str, list[tuple[int, Heard]]] = defaultdict(list)
    for line, hearing in run.hearings:
        if hearing.kind is Kind.ANSWER:
            heard[hearing.item].append((line, hearing))
    told: dict[str, list[Telling]] = defaultdict(list)
    for event in tellings.of(permission=True):
        told[event.item].append(event)
    for request in {**given, **heard, **told}:
        notes.count(_LETTER)
        accepted = [call for call in given[request] if call.accepted]
        _check_request(run, notes, request, accepted, heard[request], told[request])
        _check_told(run, notes, request, told[request])
        _check_agreement(run, notes, request, accepted, heard[request], told[request])
        if tellings.whole and is_over(run):
            _check_end(run, notes, request, told[request])


def _check_request(
    run: RunHistory, notes: Notes, request: str, accepted: list[Call], heard: list[tuple[int, Heard]], told: Sequence[Telling]
) -> None:
    where = f"permission request {request}"
    if len(accepted) > 1:
        notes.refute(_LETTER, "two answers took effect", run, where, *accepted[0].lines, *accepted[1].lines)
    if len(heard) > 1:
        notes.refute(_LETTER, "the agent heard two answers", run, where, heard[0][0], heard[1][0])
    if accepted and heard and heard[0][1].option != accepted[0].sent.items[1] and not _overtaken(told):
        notes.refute(_LETTER, "the agent heard another answer", run, where, *accepted[0].lines, heard[0][0])
    if accepted and not heard and run.agent_in_scope and run.settled is not None and not has_ended(run) and not _overtaken(told):
        notes.refute(_LETTER, "the answer was lost", run, where, *accepted[0].lines, run.settled[0])


def _overtaken(told: Sequence[Telling]) -> bool:
    """Whether an event tells that the agent waited no more for the answer, or was given another one first."""
    return any(event.state == "void" for event in told)


def _check_told(run: RunHistory, notes: Notes, request: str, told: Sequence[Telling]) -> None:
    """Events tell of a request that it was asked, of one answer, and of its delivery or why there is none."""
    before: Telling | None = None
    for event in told:
        notes.count(_LETTER)
        if (None if before is None else before.state) not in _BEFORE[event.state]:
            where = f"permission request {request}: {'nothing' if before is None else before.state}, then {event.state}"
            what = "two answers took effect" if event.state == "answered" else "a request on a way that there is not"
            notes.refute(_LETTER, what, run, where, *([] if before is None else [before.line]), event.line)
        if event.state == "void" and not event.reason:
            notes.refute(_LETTER, "a request void without a reason", run, f"permission request {request}", event.line)
        before = event


def _check_agreement(
    run: RunHistory, notes: Notes, request: str, accepted: list[Call], heard: list[tuple[int, Heard]], told: Sequence[Telling]
) -> None:
    """The answer that was accepted is the one that events tell, and that which is told as delivered, and heard."""
    where = f"permission request {request}"
    answers = [event for event in told if event.state == "answered"]
    for event in told:
        if event.state == "delivered" and answers and event.option != answers[0].option:
            notes.refute(_LETTER, "the agent heard another answer", run, where, answers[0].line, event.line)
        if event.state == "delivered" and heard and heard[0][1].option != event.option:
            notes.refute(_LETTER, "the agent heard another answer", run, where, heard[0][0], event.line)
    if accepted and answers and answers[0].option != accepted[0].sent.items[1]:
        notes.refute(_LETTER, "another answer took effect", run, where, *accepted[0].lines, answers[0].line)


def _check_end(run: RunHistory, notes: Notes, request: str, told: Sequence[Telling]) -> None:
    """Once its run has ended, a request waits no more, and an answer was delivered or is void."""
    if told and told[-1].state in {"asked", "answered"}:
        assert run.settled is not None
        what = "a request that waits for ever" if told[-1].state == "asked" else "the answer was lost"
        notes.refute(_LETTER, what, run, f"permission request {request}: {told[-1].state}", told[-1].line, run.settled[0])
