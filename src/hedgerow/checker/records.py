"""What a client of hedgerow records: what it sent, what was answered, what it read, and what its agent heard.

Times are seconds of one clock that all clients of a history share.
"""

import re
from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What a call asks for. What stands in `items` of the call is said beside each."""

    ENTRIES = "entries"  # the texts of the log entries, in order
    MESSAGE = "message"  # the message's text, which no other message of the run has
    WITHDRAWAL = "withdrawal"  # the text of the message that is taken back
    MOVE = "move"  # the text of the message that is to stand elsewhere in the inbox
    COMMAND = "command"  # a word for the command that no other command of the run has
    ARTIFACT = "artifact"  # its name and the digest of its content
    ANSWER = "answer"  # the permission request and the option
    START = "start"  # nothing: the server is to drive the run, from now on or once more
    OPEN = "open"  # nothing: the client takes the run over, or opens it again
    END = "end"  # nothing: the client ends the run


ITEMS = {Kind.ARTIFACT: 2, Kind.ANSWER: 2, Kind.START: 0, Kind.OPEN: 0, Kind.END: 0}
"""How many items a call has; one, where its kind is not named here. A call for entries has any number."""


def _name(kind: str) -> str:
    """How lines of JSON call a kind of record: `log_read` for LogRead."""
    return re.sub("(?<=.)(?=[A-Z])", "_", kind).lower()


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="record", tag=_name):
    """Something that a client did or saw."""

    at: float
    client: str


class RecordOfRun(Record, frozen=True, kw_only=True):
    """Something that names its run."""

    run: str


class Read(RecordOfRun, frozen=True, kw_only=True):
    """A client asked for something at `since`, and had it at `at`."""

    since: float


class Sent(RecordOfRun, frozen=True, kw_only=True):
    """A client makes a call. One that is repeated under the same key counts once."""

    call: str
    kind: Kind
    items: tuple[str, ...] = ()
    epoch: int | None = None  # of the caller, where it acts for a start of the run
    key: str | None = None  # the idempotency key


class Answered(Record, frozen=True, kw_only=True):
    """A call was answered: accepted or refused. A call without an answer may have been either. A permission's answer counts as
    accepted where it was the one that took effect."""

    call: str
    accepted: bool
    name: str | None = None  # how the server calls what it accepted: the id of a message


class Opened(RecordOfRun, frozen=True, kw_only=True):
    """A client opens the stream of a run, to read what comes after the event of number `after`."""

    reading: str
    after: int = 0


class Frame(Record, frozen=True, kw_only=True):
    """A numbered event arrived on a stream. What has no number is a preview, and not recorded."""

    reading: str
    number: int
    text: str


class Closed(Record, frozen=True, kw_only=True):
    """A stream ended. `drained`: the server ended it, since there was no more to come; otherwise it was cut."""

    reading: str
    drained: bool


class LogRead(Read, frozen=True, kw_only=True):
    """A client read a run's whole log: the texts of its entries, in order."""

    texts: tuple[str, ...]


class PageRead(Read, frozen=True, kw_only=True):
    """A client read a page of a run's log without a filter, beginning with the entry of index `offset`, from 0."""

    offset: int
    texts: tuple[str, ...]


class StateRead(Read, frozen=True, kw_only=True):
    """A client read where a run stands."""

    status: str
    end_reason: str | None = None


class MessageSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A message as its run's inbox shows it."""

    text: str
    status: str
    error: str | None = None
    id: str | None = None  # by which the events of its run name it


class InboxRead(Read, frozen=True, kw_only=True):
    """A client read the whole inbox of a run."""

    messages: tuple[MessageSeen, ...]


class ArtifactRead(Read, frozen=True, kw_only=True):
    """A client fetched an artifact: the digest of what came, or None where there was none of that name."""

    name: str
    digest: str | None


class Heard(RecordOfRun, frozen=True, kw_only=True):
    """The agent of a run heard something: a message (its text), a command (its word), or an answer (the request, and the option)."""

    kind: Kind
    item: str
    option: str | None = None
    epoch: int | None = None  # of the agent, where that is known


class Leftover(RecordOfRun, frozen=True, kw_only=True):
    """Something of a run was found on a machine: a process, a container, a workspace."""

    what: str


class Scope(RecordOfRun, frozen=True, kw_only=True):
    """What of a run this history holds completely: every entry that anybody wrote, everything that its agent heard."""

    entries: bool = False
    agent: bool = False


class Settled(Record, frozen=True, kw_only=True):
    """Nothing is on its way any more: what has not happened by now will not happen. What is read from now on shows how it all ended."""
