"""Guarantees (a) and (c) for messages: kept, in order, delivered once, or failed with a reason."""

from dataclasses import dataclass, field

from hedgerow.checker.ends import is_over
from hedgerow.checker.records import Kind, MessageSeen
from hedgerow.checker.report import Guarantee
from hedgerow.checker.sorted_out import Call, Notes, RunHistory
from hedgerow.checker.tellings import Telling, Tellings
from hedgerow.domain.messages import MOVED, REMOVED, MessageStatus

_KEPT, _ONCE = Guarantee.KEPT, Guarantee.DELIVERED_ONCE
_OVER = frozenset({MessageStatus.ACKNOWLEDGED.value, MessageStatus.FAILED.value})
_GONE = _OVER | {REMOVED}
_BEFORE = {  # what may have been told of a message before, by what is told of it
    MessageStatus.QUEUED.value: frozenset({None}),
    MOVED: frozenset({MessageStatus.QUEUED.value, MOVED}),
    REMOVED: frozenset({MessageStatus.QUEUED.value, MOVED}),
    MessageStatus.DELIVERED.value: frozenset({MessageStatus.QUEUED.value, MOVED}),
    MessageStatus.ACKNOWLEDGED.value: frozenset({MessageStatus.QUEUED.value, MOVED, MessageStatus.DELIVERED.value}),
    MessageStatus.FAILED.value: frozenset({MessageStatus.QUEUED.value, MOVED, MessageStatus.DELIVERED.value}),
}
_REACHED = frozenset({MessageStatus.ACKNOWLEDGED.value, MessageStatus.DELIVERED.value})


@dataclass(slots=True)
class _Message:
    """Everything of one message: who sent it, who moved it or took it back, what the inbox and events showed of it, and who heard it."""

    text: str
    sent: Call | None = None
    withdrawals: list[Call] = field(default_factory=list)
    moved: bool = False
    seen: list[tuple[int, MessageSeen]] = field(default_factory=list)
    heard: list[tuple[int, float]] = field(default_factory=list)
    told: list[Telling] = field(default_factory=list)

    @property
    def where(self) -> str:
        """How people find it."""
        return f"message {self.text[:60]!r}"


def check_messages(run: RunHistory, notes: Notes, tellings: Tellings) -> None:
    """Every message of a run."""
    messages = _messages(run, tellings)
    for message in messages.values():
        notes.count(_ONCE)
        _check_hearing(run, notes, message)
        _check_standing(run, notes, message)
        _check_told(run, notes, message)
        if tellings.whole:
            _check_told_to_the_end(run, notes, message)
        if message.sent is not None and message.sent.accepted:
            _check_kept(run, notes, message)
            _check_outcome(run, notes, message)
    _check_order(run, notes, messages)


def _messages(run: RunHistory, tellings: Tellings) -> dict[str, _Message]:
    messages: dict[str, _Message] = {}
    for call in run.calls_for(Kind.MESSAGE):
        text = call.sent.items[0]
        messages[text] = _Message(text, call)
    if not messages and not run.hearings and not run.inboxes and not tellings.events:
        return messages
    for call in run.calls_for(Kind.WITHDRAWAL, Kind.MOVE):
        message = messages.setdefault(call.sent.items[0], _Message(call.sent.items[0]))
        if call.sent.kind is Kind.WITHDRAWAL:
            message.withdrawals.append(call)
        elif not call.refused:
            message.moved = True
    for line, hearing in run.hearings:
        if hearing.kind is Kind.MESSAGE:
            messages.setdefault(hearing.item, _Message(hearing.item)).heard.append((line, hearing.at))
    for line, read in run.inboxes:
        for seen in read.messages:
            messages.setdefault(seen.text, _Message(seen.text)).seen.append((line, seen))
    _add_told(run, messages, tellings)
    return messages


def _add_told(run: RunHistory, messages: dict[str, _Message], tellings: Tellings) -> None:
    names = _names(run)
    for event in tellings.of(permission=False):
        text = names.get(event.item, event.item)
        messages.setdefault(text, _Message(text)).told.append(event)


def _names(run: RunHistory) -> dict[str, str]:
    """The texts of messages by the ids under which events tell of them."""
    answered = [(call.answer.name, call.sent.items[0]) for call in run.calls_for(Kind.MESSAGE) if call.answer is not None]
    seen = [(seen.id, seen.text) for _, read in run.inboxes for seen in read.messages]
    return {name: text for name, text in [*answered, *seen] if name is not None}


def _check_told(run: RunHistory, notes: Notes, message: _Message) -> None:
    """Events tell of each message its way from its beginning to one end."""
    before: Telling | None = None
    for event in message.told:
        notes.count(_ONCE)
        evidence = [event.line] if before is None else [before.line, event.line]
        if event.state == MessageStatus.FAILED and not event.reason:
            notes.refute(_ONCE, "a message failed without a reason", run, message.where, event.line)
        if (None if before is None else before.state) not in _BEFORE.get(event.state, frozenset()):
            where = f"{message.where}: {'nothing' if before is None else before.state}, then {event.state}"
            notes.refute(_ONCE, "a message on a way that there is not", run, where, *evidence)
        before = event
    removed = [event for event in message.told if event.state == REMOVED]
    if removed and message.heard:
        notes.refute(_ONCE, "a message that was taken back", run, message.where, removed[0].line, message.heard[0][0])


def _check_told_to_the_end(run: RunHistory, notes: Notes, message: _Message) -> None:
    """Where the whole journal is known, it tells of every message, and last what the inbox shows as well."""
    assert run.settled is not None
    finally_seen = [(line, seen) for line, seen in message.seen if line in _final_reads(run)]
    if not message.told:
        call = message.sent
        if call is not None and call.accepted:
            notes.refute(_KEPT, "a message that no event tells of", run, message.where, *call.lines, run.settled[0])
        return
    last = message.told[-1]
    if last.state not in _GONE and is_over(run):
        notes.refute(_ONCE, "a message neither delivered nor failed", run, f"{message.where}: {last.state}", last.line, run.settled[0])
    for line, seen in finally_seen:
        if seen.status != (MessageStatus.QUEUED if last.state == MOVED else last.state):
            where = f"{message.where}: {last.state} by its event, {seen.status} in the inbox"
            notes.refute(_ONCE, "an event that is not true", run, where, last.line, line)
    for withdrawal in message.withdrawals:
        if withdrawal.accepted and last.state != REMOVED:
            where = f"{message.where}: {last.state} by its event, and taken back"
            notes.refute(_ONCE, "an event that is not true", run, where, *withdrawal.lines, last.line)


def _check_hearing(run: RunHistory, notes: Notes, message: _Message) -> None:
    if len(message.heard) > 1:
        notes.refute(_ONCE, "a message delivered twice", run, message.where, message.heard[0][0], message.heard[1][0])
    if message.heard and (message.sent is None or message.sent.refused):
        refusal = message.sent.lines if message.sent is not None else ()
        notes.refute(_ONCE, "a message that nobody sent", run, message.where, *refusal, message.heard[0][0])
    for call in message.withdrawals:
        if call.accepted and message.heard:
            notes.refute(_ONCE, "a message that was taken back", run, message.where, *call.lines, message.heard[0][0])


def _check_standing(run: RunHistory, notes: Notes, message: _Message) -> None:
    """What is over stays as it is, and a failed message says why."""
    over: tuple[int, MessageSeen] | None = None
    for line, seen in message.seen:
        if seen.status == MessageStatus.FAILED and not seen.error:
            notes.refute(_ONCE, "a message failed without a reason", run, message.where, line)
        if over is not None and seen.status != over[1].status:
            notes.refute(_ONCE, "a message that came back", run, f"{message.where}: {over[1].status}, then {seen.status}", over[0], line)
        if seen.status in _OVER:
            over = (line, seen)


def _check_kept(run: RunHistory, notes: Notes, message: _Message) -> None:
    """Every inbox that was read after a message was accepted has it, unless somebody may have taken it back."""
    call = message.sent
    assert call is not None
    if any(not withdrawal.refused for withdrawal in message.withdrawals):
        return
    lines = {line for line, _ in message.seen}
    for line, read in run.inboxes:
        if call.answered_at < read.since:
            notes.count(_KEPT)
            if line not in lines:
                notes.refute(_KEPT, "a lost message", run, message.where, *call.lines, line)
                return


def _check_outcome(run: RunHistory, notes: Notes, message: _Message) -> None:
    """In the end it was heard, or failed, or taken back; and what is said to have reached the agent has reached it.

    It shows in an inbox that was read once nothing was on its way any more.
    """
    call = message.sent
    assert call is not None
    last = message.seen[-1] if message.seen else None
    if run.settled is None or last is None or last[0] not in _final_reads(run) or message.heard:
        return
    if any(not withdrawal.refused for withdrawal in message.withdrawals):
        return
    status = last[1].status
    if status in _REACHED and run.agent_in_scope:
        notes.refute(_ONCE, "a message that is called delivered and was not", run, message.where, *call.lines, last[0])
    elif status not in _REACHED and status != MessageStatus.FAILED:
        notes.refute(_ONCE, "a message neither delivered nor failed", run, message.where, *call.lines, last[0])


def _final_reads(run: RunHistory) -> set[int]:
    assert run.settled is not None
    return {line for line, read in run.inboxes if read.since >= run.settled[1]}


def _check_order(run: RunHistory, notes: Notes, messages: dict[str, _Message]) -> None:
    """Of two messages that nobody moved, the one that was accepted before the other was sent is heard first."""
    heard = [message for message in messages.values() if message.heard and message.sent is not None and not message.moved]
    latest: _Message | None = None  # of those heard so far the one that was sent last
    for message in sorted(heard, key=lambda m: m.heard[0][1]):
        assert message.sent is not None
        if latest is not None and latest.sent is not None and message.sent.answered_at < latest.sent.sent.at:
            where = f"{message.where} after {latest.where}"
            evidence = (*message.sent.lines, *latest.sent.lines, latest.heard[0][0], message.heard[0][0])
            notes.refute(_ONCE, "messages out of order", run, where, *evidence)
        if latest is None or (latest.sent is not None and message.sent.sent.at > latest.sent.sent.at):
            latest = message
