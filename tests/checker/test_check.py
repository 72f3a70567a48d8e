"""The checker itself: it lets every correct history pass, and refutes what a broken hedgerow would have shown."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hedgerow.checker import Bounds, Guarantee, HistoryError, Report, Verdict, check
from hedgerow.checker.records import Answered, Closed, Frame, Heard, Kind, LogRead, Opened, Record, Sent, Settled, StateRead
from tests.checker.correct import END_SECONDS, LEAVE_SECONDS, asked, correct_history, told
from tests.checker.mutations import MUTATIONS, Mutation

BOUNDS = Bounds(end_seconds=END_SECONDS, leave_seconds=LEAVE_SECONDS)
_seeds = st.integers(0, 2**32)


def judged(history: list[Record]) -> Report:
    return check(history, BOUNDS)


def found(history: list[Record]) -> list[tuple[Guarantee, str]]:
    return [(finding.guarantee, finding.what) for finding in judged(history).findings]


@given(_seeds)
@settings(max_examples=100, deadline=None)
def test_a_correct_history_passes_and_shows_every_guarantee(seed: int) -> None:
    report = judged(correct_history(Random(seed)))
    assert report.findings == ()
    assert {report.verdict(guarantee) for guarantee in Guarantee} == {Verdict.HELD}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
@given(seed=_seeds)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
def test_a_single_fault_is_refuted(mutation: Mutation, seed: int) -> None:
    random = Random(seed)
    history = correct_history(random)
    mutation(history, random)
    assert MUTATIONS[mutation] in {finding.guarantee for finding in judged(history).findings}


def stream(*numbers: int, texts: dict[int, str] | None = None, after: int = 0, name: str = "one", at: float = 0) -> list[Record]:
    """What a reader of a stream records whom the server told these events, and then that there are no more."""
    frames = [
        Frame(at=at + n, client=name, reading="1", number=number, text=(texts or {}).get(number, f'{{"n":{number}}}'))
        for n, number in enumerate(numbers, 1)
    ]
    opened = Opened(at=at, client=name, run="r", reading="1", after=after)
    return [opened, *frames, Closed(at=at + len(numbers) + 1, client=name, reading="1", drained=True)]


@pytest.mark.parametrize(
    ("numbers", "what", "evidence"),
    [
        ((1, 2, 4), "a lost event", (3, 4)),
        ((1, 2, 2, 3), "a doubled event", (3, 4)),
        ((1, 3, 2, 4), "events out of order", (2, 3, 4)),
        ((2, 3), "a lost event", (1, 2)),
    ],
)
def test_a_stream_is_held_against_its_own_numbers(numbers: tuple[int, ...], what: str, evidence: tuple[int, ...]) -> None:
    (finding,) = judged(stream(*numbers)).findings
    assert (finding.guarantee, finding.what, finding.evidence) == (Guarantee.READ_ONCE, what, evidence)


def test_a_stream_goes_on_after_its_cursor() -> None:
    assert judged(stream(1, 2, 3) + stream(3, after=2, name="two", at=10)).held
    assert found(stream(1, 2, 3) + stream(2, 3, after=2, name="two", at=10)) == [(Guarantee.READ_ONCE, "a doubled event")]


def test_an_event_that_two_readers_read_differently_is_altered() -> None:
    history = stream(1, 2) + stream(1, 2, texts={2: '{"n":"two"}'}, name="two")
    (finding,) = judged(history).findings
    assert (finding.what, finding.evidence) == ("an altered event", (3, 7))


def test_a_stream_that_was_cut_may_lack_its_end() -> None:
    short = stream(1, 2, name="two", at=10)
    assert found(stream(1, 2, 3) + short) == [(Guarantee.READ_ONCE, "a lost event")]
    last = short[-1]
    assert isinstance(last, Closed)
    assert judged([*stream(1, 2, 3), *short[:-1], replace(last, drained=False)]).held


@pytest.mark.parametrize(
    ("texts", "what"),
    [
        (("1", "3"), "a lost event"),
        (("1", "1", "2"), "a doubled event"),
        (("2", "1", "3"), "events out of order"),
        (("1", "x", "2"), "an invented event"),
        (("1", "x", "3"), "an altered event"),
    ],
)
def test_a_log_is_held_against_the_stream(texts: tuple[str, ...], what: str) -> None:
    history = stream(1, 2, 3, texts={1: "1", 2: "2", 3: "3"})
    log = LogRead(since=0.5, at=0.6, client="two", run="r", texts=texts)
    assert (Guarantee.READ_ONCE, what) in found([*history, log])


def test_the_runs_state_is_an_event_of_the_stream_and_no_entry_of_the_log() -> None:
    history = stream(1, 2, texts={1: '{"type":"task_run_state"}', 2: "2"})
    assert judged([*history, LogRead(since=9, at=10, client="two", run="r", texts=("2",))]).held


def append(*texts: str, accepted: bool | None, key: str | None = None, call: str = "1", at: float = 0) -> list[Record]:
    sent = Sent(at=at, client="w", run="r", call=call, kind=Kind.ENTRIES, items=texts, key=key)
    return [sent] if accepted is None else [sent, Answered(at=at + 1, client="w", call=call, accepted=accepted)]


def log(*texts: str) -> LogRead:
    return LogRead(since=90, at=91, client="l", run="r", texts=texts)


def test_what_was_accepted_must_be_there_and_what_was_not_answered_may_be() -> None:
    assert found([*append("a", accepted=True), log()]) == [(Guarantee.KEPT, "a lost entry")]
    assert judged([*append("a", accepted=None), log()]).held
    assert judged([*append("a", accepted=None), log("a")]).held


def test_an_entry_is_there_as_often_as_it_was_sent_and_once_for_all_calls_of_a_key() -> None:
    twice = append("a", accepted=True) + append("a", accepted=True, call="2", at=2)
    assert judged([*twice, log("a", "a")]).held
    repeated = append("a", accepted=None, key="k") + append("a", accepted=True, key="k", call="2", at=2)
    assert judged([*repeated, log("a")]).held
    assert found([*repeated, log("a", "a")]) == [(Guarantee.READ_ONCE, "a doubled event")]


def test_a_call_that_was_answered_before_another_was_sent_comes_first() -> None:
    calls = append("a", "b", accepted=True) + append("c", accepted=True, call="2", at=2)
    assert judged([*calls, log("a", "b", "c")]).held
    assert found([*calls, log("c", "a", "b")]) == [(Guarantee.READ_ONCE, "events out of order")]
    assert found([*calls, log("b", "a", "c")]) == [(Guarantee.READ_ONCE, "events out of order")]


def test_nothing_is_said_of_what_a_history_does_not_show() -> None:
    report = judged([*append("a", accepted=True), log("a")])
    assert report.verdict(Guarantee.KEPT) is Verdict.HELD
    assert report.verdict(Guarantee.DELIVERED_ONCE) is Verdict.NOT_SHOWN
    assert judged([]).held


def test_a_message_that_was_moved_may_overtake_others() -> None:
    def said(text: str, at: float) -> list[Record]:
        sent = Sent(at=at, client="p", run="r", call=text, kind=Kind.MESSAGE, items=(text,))
        return [sent, Answered(at=at + 1, client="p", call=text, accepted=True)]

    heard = [Heard(at=20 + n, client="agent", run="r", kind=Kind.MESSAGE, item=text) for n, text in enumerate(("b", "a"))]
    assert found([*said("a", 0), *said("b", 5), *heard]) == [(Guarantee.DELIVERED_ONCE, "messages out of order")]
    move = Sent(at=10, client="p", run="r", call="m", kind=Kind.MOVE, items=("b",))
    assert judged([*said("a", 0), *said("b", 5), move, *heard]).held


def test_what_waits_in_a_run_that_was_started_again_is_held_against_nobody() -> None:
    def state(at: float, status: str, reason: str | None = None) -> StateRead:
        return StateRead(since=at, at=at, client="w", run="r", status=status, end_reason=reason)

    said: list[Record] = [
        Sent(at=3, client="p", run="r", call="a", kind=Kind.MESSAGE, items=("a",)),
        Answered(at=4, client="p", call="a", accepted=True, name="id"),
    ]
    start: list[Record] = [
        Sent(at=2, client="p", run="r", call="s", kind=Kind.START),
        Answered(at=2.5, client="p", call="s", accepted=True),
    ]
    told_of = {1: told("message_status", messageId="id", status="queued"), 2: asked("q")}
    begun: list[Record] = [state(1, "failed", "client"), *start, *said, state(5, "in_progress"), Settled(at=6, client="w")]
    assert judged([*begun, *stream(1, 2, texts=told_of, at=10)]).held
    over: list[Record] = [*begun, state(7, "completed", "finished"), *stream(1, 2, texts=told_of, at=10)]
    assert found(over) == [
        (Guarantee.DELIVERED_ONCE, "a message neither delivered nor failed"),
        (Guarantee.ONE_ANSWER, "a request that waits for ever"),
    ]


def test_a_history_that_contradicts_itself_is_none() -> None:
    with pytest.raises(HistoryError, match="record 1"):
        check([Answered(at=0, client="w", call="1", accepted=True)])
    with pytest.raises(HistoryError, match="record 1"):
        check([Frame(at=0, client="w", reading="1", number=1, text="{}")])


@pytest.mark.parametrize(("kind", "items"), [(Kind.MESSAGE, ()), (Kind.ANSWER, ("request",)), (Kind.START, ("now",))])
def test_a_call_that_lacks_what_it_is_about_is_no_history(kind: Kind, items: tuple[str, ...]) -> None:
    with pytest.raises(HistoryError, match=f"record 2: a call of the kind {kind} has"):
        judged([Settled(at=0, client="w"), Sent(at=1, client="w", run="r", call="1", kind=kind, items=items)])
