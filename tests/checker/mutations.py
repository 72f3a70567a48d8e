"""Ways in which a hedgerow could break what it guarantees, as changes of a correct history: what is wrong afterwards is known."""

import json
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any, TypeVar

from msgspec.structs import replace

from hedgerow.checker import Guarantee
from hedgerow.checker.records import (
    Answered,
    ArtifactRead,
    Closed,
    Frame,
    Heard,
    InboxRead,
    Kind,
    Leftover,
    LogRead,
    Record,
    Sent,
    Settled,
    StateRead,
)
from tests.checker.correct import END_SECONDS, LEAVE_SECONDS, RUN, STATE, told

History = list[Record]
Mutation = Callable[[History, Random], None]
_Kind = TypeVar("_Kind", bound=Record)


def _all(history: History, kind: type[_Kind], wanted: Callable[[_Kind], bool] = lambda record: True) -> list[tuple[int, _Kind]]:
    return [(index, record) for index, record in enumerate(history) if isinstance(record, kind) and wanted(record)]


def _frames(history: History) -> list[tuple[int, Frame]]:
    """The frames of the stream that was read last, from its beginning to its end."""
    return _all(history, Frame, lambda frame: frame.client == "last")


def lose_a_frame(history: History, random: Random) -> None:
    frames = _frames(history)
    inner = [frame[0] for frame, following in pairwise(frames) if frame[1].reading == following[1].reading]
    del history[random.choice(inner)]


def lose_a_frame_at_the_end_of_a_stream(history: History, random: Random) -> None:
    del history[_frames(history)[-1][0]]


def double_a_frame(history: History, random: Random) -> None:
    index, frame = random.choice(_all(history, Frame))
    history.insert(index + 1, frame)


def reorder_frames(history: History, random: Random) -> None:
    frames = _frames(history)
    pairs = [(frame, following) for frame, following in pairwise(frames) if frame[1].reading == following[1].reading]
    (one, first), (two, second) = random.choice(pairs)
    history[one], history[two] = replace(second, at=first.at), replace(first, at=second.at)


def invent_a_frame(history: History, random: Random) -> None:
    index, frame = random.choice(_frames(history))
    later = [(place, other) for place, other in _all(history, Frame) if other.reading == frame.reading and other.client == frame.client]
    for place, other in later:
        if place > index:
            history[place] = replace(other, number=other.number + 1)
    history.insert(index + 1, replace(frame, number=frame.number + 1, text='{"nobody":"sent this"}'))


def alter_a_frame(history: History, random: Random) -> None:
    index, frame = random.choice(_all(history, Frame))
    history[index] = replace(frame, text=frame.text + " ")


def give_a_frame_a_wrong_number(history: History, random: Random) -> None:
    index, frame = random.choice(_all(history, Frame))
    history[index] = replace(frame, number=random.choice([0, -1, frame.number + 100]))


def _last_log(history: History) -> tuple[int, LogRead]:
    return _all(history, LogRead, lambda log: log.client == "last")[0]


def lose_an_entry_of_a_log(history: History, random: Random) -> None:
    index, log = _last_log(history)
    place = random.randrange(len(log.texts))
    history[index] = replace(log, texts=(*log.texts[:place], *log.texts[place + 1 :]))


def double_an_entry_of_a_log(history: History, random: Random) -> None:
    index, log = _last_log(history)
    place = random.randrange(len(log.texts))
    history[index] = replace(log, texts=(*log.texts[:place], log.texts[place], *log.texts[place:]))


def reorder_entries_of_a_log(history: History, random: Random) -> None:
    index, log = _last_log(history)
    place = random.randrange(len(log.texts) - 1)
    history[index] = replace(log, texts=(*log.texts[:place], log.texts[place + 1], log.texts[place], *log.texts[place + 2 :]))


def invent_an_entry_of_a_log(history: History, random: Random) -> None:
    index, log = _last_log(history)
    place = random.randrange(len(log.texts) + 1)
    history[index] = replace(log, texts=(*log.texts[:place], '{"nobody":"sent this"}', *log.texts[place:]))


def alter_an_entry_of_a_log(history: History, random: Random) -> None:
    index, log = _last_log(history)
    place = random.randrange(len(log.texts))
    history[index] = replace(log, texts=(*log.texts[:place], log.texts[place] + " ", *log.texts[place + 1 :]))


def forget_an_accepted_entry(history: History, random: Random) -> None:
    call = Sent(at=2.1, client="writer-3", run=RUN, call="forgotten", kind=Kind.ENTRIES, items=('{"of":"writer-3"}',))
    history[3:3] = [call, Answered(at=2.2, client="writer-3", call="forgotten", accepted=True)]


def _heard(history: History, kind: Kind) -> list[tuple[int, Heard]]:
    return _all(history, Heard, lambda heard: heard.kind is kind)


def deliver_a_message_twice(history: History, random: Random) -> None:
    index, heard = random.choice(_heard(history, Kind.MESSAGE))
    history.insert(index + 1, heard)


def deliver_a_message_that_nobody_sent(history: History, random: Random) -> None:
    index, heard = random.choice(_heard(history, Kind.MESSAGE))
    history.insert(index + 1, replace(heard, item="from nowhere"))


def deliver_messages_out_of_order(history: History, random: Random) -> None:
    (one, first), (two, second) = _heard(history, Kind.MESSAGE)[:2]
    history[one], history[two] = replace(first, item=second.item), replace(second, item=first.item)


def lose_a_message_on_its_way_to_the_agent(history: History, random: Random) -> None:
    del history[random.choice(_heard(history, Kind.MESSAGE))[0]]


def deliver_a_message_that_was_taken_back(history: History, random: Random) -> None:
    index, heard = _heard(history, Kind.MESSAGE)[0]
    call = Sent(at=heard.at - 0.5, client="speaker", run=RUN, call="too-late", kind=Kind.WITHDRAWAL, items=(heard.item,))
    history.insert(index, call)
    history.append(Answered(at=history[-1].at + 1, client="speaker", call="too-late", accepted=True))


def _last_inbox(history: History) -> tuple[int, InboxRead]:
    return _all(history, InboxRead)[-1]


def lose_a_message_of_the_inbox(history: History, random: Random) -> None:
    index, read = _last_inbox(history)
    place = random.randrange(len(read.messages))
    history[index] = replace(read, messages=(*read.messages[:place], *read.messages[place + 1 :]))


def fail_a_message_without_a_reason(history: History, random: Random) -> None:
    index, read = _last_inbox(history)
    history[index] = replace(read, messages=(replace(read.messages[0], status="failed", error=None), *read.messages[1:]))


def leave_a_message_in_the_inbox(history: History, random: Random) -> None:
    index, heard = _heard(history, Kind.MESSAGE)[-1]
    index_of_read, read = _last_inbox(history)
    left = tuple(replace(message, status="queued") if message.text == heard.item else message for message in read.messages)
    history[index_of_read] = replace(read, messages=left)
    del history[index]


def _tellings(history: History, kind: str) -> list[tuple[int, dict[str, Any]]]:
    """What events of a type tell, with their numbers. Entries of clients, which look like it, are none."""
    texts = [(frame.number, frame.text) for _, frame in _frames(history)]
    documents = [(number, json.loads(text)) for number, text in texts if not text.startswith('{"of"')]
    return [(number, document["notification"]["params"]) for number, document in documents if document.get("type") == kind]


def _retell(history: History, number: int, text: str) -> None:
    """Let an event have been another one from the beginning, for all readers alike."""
    for index, frame in _all(history, Frame, lambda frame: frame.number == number):
        history[index] = replace(frame, text=text)


def _last_acknowledged(history: History) -> tuple[int, str]:
    acknowledged = [(number, said) for number, said in _tellings(history, "message_status") if said["status"] == "acknowledged"]
    return acknowledged[-1][0], acknowledged[-1][1]["messageId"]


def tell_of_a_delivery_twice(history: History, random: Random) -> None:
    number, message_id = _last_acknowledged(history)
    _retell(history, number, told("message_status", messageId=message_id, status="delivered"))


def tell_of_a_failure_that_there_was_not(history: History, random: Random) -> None:
    number, message_id = _last_acknowledged(history)
    _retell(history, number, told("message_status", messageId=message_id, status="failed", error="The run ended."))


def tell_of_a_failure_without_a_reason(history: History, random: Random) -> None:
    number, message_id = _last_acknowledged(history)
    _retell(history, number, told("message_status", messageId=message_id, status="failed"))


def tell_of_a_withdrawal_that_there_was_not(history: History, random: Random) -> None:
    number, message_id = _last_acknowledged(history)
    for earlier, said in _tellings(history, "message_status"):
        if said["messageId"] == message_id and said["status"] == "delivered":
            _retell(history, earlier, STATE)
    _retell(history, number, told("message_status", messageId=message_id, status="removed"))


def tell_nothing_of_the_end_of_a_turn(history: History, random: Random) -> None:
    number, _ = _last_acknowledged(history)
    _retell(history, number, STATE)


def tell_nothing_of_a_message(history: History, random: Random) -> None:
    _, message_id = _last_acknowledged(history)
    for number, said in _tellings(history, "message_status"):
        if said["messageId"] == message_id:
            _retell(history, number, STATE)


def tell_of_two_answers(history: History, random: Random) -> None:
    ((number, said),) = _tellings(history, "permission_delivered")
    _retell(history, number, told("permission_answered", requestId=said["requestId"], optionId="another option"))


def tell_of_another_answer_than_was_accepted(history: History, random: Random) -> None:
    for kind in ("permission_answered", "permission_delivered"):
        ((number, said),) = _tellings(history, kind)
        _retell(history, number, told(kind, requestId=said["requestId"], optionId="another option"))


def tell_that_another_answer_was_delivered(history: History, random: Random) -> None:
    ((number, said),) = _tellings(history, "permission_delivered")
    _retell(history, number, told("permission_delivered", requestId=said["requestId"], optionId="another option"))


def tell_that_an_answer_was_delivered_which_nobody_gave(history: History, random: Random) -> None:
    ((number, _),) = _tellings(history, "permission_answered")
    _retell(history, number, STATE)


def tell_nothing_of_a_delivery(history: History, random: Random) -> None:
    ((number, _),) = _tellings(history, "permission_delivered")
    _retell(history, number, STATE)


def let_a_request_wait_for_ever(history: History, random: Random) -> None:
    ((number, _),) = _tellings(history, "permission_void")
    _retell(history, number, STATE)


def make_a_request_void_without_a_reason(history: History, random: Random) -> None:
    ((number, said),) = _tellings(history, "permission_void")
    _retell(history, number, told("permission_void", requestId=said["requestId"]))


def end_without_a_reason(history: History, random: Random) -> None:
    index, read = random.choice(_all(history, StateRead, lambda state: state.status == "completed"))
    history[index] = replace(read, end_reason=random.choice([None, "because"]))


def rise_after_the_end(history: History, random: Random) -> None:
    index, read = _all(history, StateRead, lambda state: state.status == "completed")[-1]
    history[index] = replace(read, status="in_progress", end_reason=None)


def end_a_second_time(history: History, random: Random) -> None:
    index, read = _all(history, StateRead, lambda state: state.status == "completed")[-1]
    history[index] = replace(read, status="failed", end_reason="sandbox_lost")


def end_too_late(history: History, random: Random) -> None:
    for index, read in _all(history, StateRead, lambda state: state.status == "completed"):
        history[index] = replace(read, since=read.since + END_SECONDS, at=read.at + END_SECONDS)
    settled, record = _all(history, Settled)[0]
    history[settled] = replace(record, at=record.at + 2 * END_SECONDS)
    early = _all(history, StateRead)[0][1]
    history.append(replace(early, since=END_SECONDS + 10, at=END_SECONDS + 10.5, status="in_progress", end_reason=None))


def never_end(history: History, random: Random) -> None:
    for index, _ in reversed(_all(history, StateRead, lambda state: state.status == "completed")):
        del history[index]
    settled, record = _all(history, Settled)[0]
    history[settled] = replace(record, at=2 * END_SECONDS)


def leave_something_behind(history: History, random: Random) -> None:
    end = _all(history, StateRead, lambda state: state.status == "completed")[0][1]
    history.append(Leftover(at=end.at + LEAVE_SECONDS + 1, client="watcher", run=RUN, what="a workspace"))


def speak_to_an_older_epoch(history: History, random: Random) -> None:
    newest = max(record.epoch or 0 for _, record in _all(history, Sent))
    last = max(record.at for record in history)
    for step, (client, call) in enumerate((("person", "newer"), ("person", "older"))):
        sent = Sent(at=last + step, client=client, run=RUN, call=call, kind=Kind.MESSAGE, items=(f"the {call} message",))
        history += [sent, Answered(at=last + step, client=client, call=call, accepted=True)]
    for step, (call, epoch) in enumerate((("newer", newest + 1), ("older", newest))):
        history.append(Heard(at=last + 5 + step, client="agent", run=RUN, kind=Kind.MESSAGE, item=f"the {call} message", epoch=epoch))


def accept_an_older_epoch(history: History, random: Random) -> None:
    newest = max(record.epoch or 0 for _, record in _all(history, Sent))
    at = history[-1].at + 10
    for step, epoch in enumerate((newest + 1, newest)):
        call = f"epoch-{epoch}"
        history.append(Sent(at=at + step, client="worker", run=RUN, call=call, kind=Kind.ARTIFACT, items=(call, "digest"), epoch=epoch))
        history.append(Answered(at=at + step + 0.5, client="worker", call=call, accepted=True))


def accept_two_answers(history: History, random: Random) -> None:
    calls = {record.call for _, record in _all(history, Sent, lambda sent: sent.kind is Kind.ANSWER)}
    index, answer = _all(history, Answered, lambda answer: answer.call in calls and not answer.accepted)[0]
    history[index] = replace(answer, accepted=True)


def tell_the_agent_another_answer(history: History, random: Random) -> None:
    index, heard = _heard(history, Kind.ANSWER)[0]
    history[index] = replace(heard, option="another option")


def tell_the_agent_two_answers(history: History, random: Random) -> None:
    index, heard = _heard(history, Kind.ANSWER)[0]
    history.insert(index + 1, heard)


def lose_an_artifact(history: History, random: Random) -> None:
    index, read = _all(history, ArtifactRead)[0]
    history[index] = replace(read, digest=None)


def alter_an_artifact(history: History, random: Random) -> None:
    index, read = _all(history, ArtifactRead)[0]
    history[index] = replace(read, digest="another digest")


def lose_a_command(history: History, random: Random) -> None:
    del history[_heard(history, Kind.COMMAND)[0][0]]


def lose_an_answer(history: History, random: Random) -> None:
    del history[_heard(history, Kind.ANSWER)[0][0]]
    for index, _ in reversed(_all(history, StateRead, lambda state: state.status == "completed")):
        del history[index]  # a run that has ended needs no answer


def end_a_stream_too_early(history: History, random: Random) -> None:
    frames = _frames(history)
    closed_at, closed = _all(history, Closed, lambda closed: closed.client == "last")[-1]
    index, frame = random.choice(frames)
    history[index : closed_at + 1] = [replace(closed, reading=frame.reading)]


MUTATIONS: dict[Mutation, Guarantee] = {
    lose_a_frame: Guarantee.READ_ONCE,
    lose_a_frame_at_the_end_of_a_stream: Guarantee.READ_ONCE,
    end_a_stream_too_early: Guarantee.READ_ONCE,
    double_a_frame: Guarantee.READ_ONCE,
    reorder_frames: Guarantee.READ_ONCE,
    invent_a_frame: Guarantee.READ_ONCE,
    alter_a_frame: Guarantee.READ_ONCE,
    give_a_frame_a_wrong_number: Guarantee.READ_ONCE,
    lose_an_entry_of_a_log: Guarantee.READ_ONCE,
    double_an_entry_of_a_log: Guarantee.READ_ONCE,
    reorder_entries_of_a_log: Guarantee.READ_ONCE,
    invent_an_entry_of_a_log: Guarantee.READ_ONCE,
    alter_an_entry_of_a_log: Guarantee.READ_ONCE,
    forget_an_accepted_entry: Guarantee.KEPT,
    lose_a_message_of_the_inbox: Guarantee.KEPT,
    lose_an_artifact: Guarantee.KEPT,
    alter_an_artifact: Guarantee.KEPT,
    lose_a_command: Guarantee.KEPT,
    deliver_a_message_twice: Guarantee.DELIVERED_ONCE,
    deliver_a_message_that_nobody_sent: Guarantee.DELIVERED_ONCE,
    deliver_messages_out_of_order: Guarantee.DELIVERED_ONCE,
    deliver_a_message_that_was_taken_back: Guarantee.DELIVERED_ONCE,
    lose_a_message_on_its_way_to_the_agent: Guarantee.DELIVERED_ONCE,
    leave_a_message_in_the_inbox: Guarantee.DELIVERED_ONCE,
    fail_a_message_without_a_reason: Guarantee.DELIVERED_ONCE,
    tell_nothing_of_a_message: Guarantee.KEPT,
    tell_of_a_delivery_twice: Guarantee.DELIVERED_ONCE,
    tell_of_a_failure_that_there_was_not: Guarantee.DELIVERED_ONCE,
    tell_of_a_failure_without_a_reason: Guarantee.DELIVERED_ONCE,
    tell_of_a_withdrawal_that_there_was_not: Guarantee.DELIVERED_ONCE,
    tell_nothing_of_the_end_of_a_turn: Guarantee.DELIVERED_ONCE,
    end_without_a_reason: Guarantee.ENDS,
    rise_after_the_end: Guarantee.ENDS,
    end_a_second_time: Guarantee.ENDS,
    end_too_late: Guarantee.ENDS,
    never_end: Guarantee.ENDS,
    leave_something_behind: Guarantee.LEAVES_NOTHING,
    accept_an_older_epoch: Guarantee.ONE_EPOCH,
    speak_to_an_older_epoch: Guarantee.ONE_EPOCH,
    accept_two_answers: Guarantee.ONE_ANSWER,
    tell_the_agent_another_answer: Guarantee.ONE_ANSWER,
    tell_the_agent_two_answers: Guarantee.ONE_ANSWER,
    lose_an_answer: Guarantee.ONE_ANSWER,
    tell_of_two_answers: Guarantee.ONE_ANSWER,
    tell_of_another_answer_than_was_accepted: Guarantee.ONE_ANSWER,
    tell_that_another_answer_was_delivered: Guarantee.ONE_ANSWER,
    tell_that_an_answer_was_delivered_which_nobody_gave: Guarantee.ONE_ANSWER,
    tell_nothing_of_a_delivery: Guarantee.ONE_ANSWER,
    let_a_request_wait_for_ever: Guarantee.ONE_ANSWER,
    make_a_request_void_without_a_reason: Guarantee.ONE_ANSWER,
}
"""Each change of a correct history, and the guarantee that is broken by it."""
