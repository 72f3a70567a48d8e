"""What a client of hedgerow records: what it sent, what was answered, what it read, and what its agent heard.

Times are seconds of one clock that all clients of a history share. A read that takes a while began at `since` and was over at `at`.
"""

from dataclasses import dataclass
from enum import StrEnum


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A client makes a call. One that is repeated under the same key counts once."""

    at: float
    client: str
    run: str
    call: str
    kind: Kind
    items: tuple[str, ...] = ()
    epoch: int | None = None  # of the caller, where it acts for a start of the run
    key: str | None = None  # the idempotency key


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A call was answered: accepted or refused. A call without an answer may have been either. A permission's answer counts as
    accepted where it was the one that took effect."""

    at: float
    client: str
    call: str
    accepted: bool
    name: str | None = None  # how the server calls what it accepted: the id of a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A client opens the stream of a run, to read what comes after the event of number `after`."""

    at: float
    client: str
    run: str
    reading: str
    after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A numbered event arrived on a stream. What has no number is a preview, and not recorded."""

    at: float
    client: str
    reading: str
    number: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A stream ended. `drained`: the server ended it, since there was no more to come; otherwise it was cut."""

    at: float
    client: str
    reading: str
    drained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRead:
    """A client read a run's whole log: the texts of its entries, in order."""

    since: float
    at: float
    client: str
    run: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRead:
    """A client read a page of a run's log without a filter, beginning with the entry of index `offset`, from 0."""

    since: float
    at: float
    client: str
    run: str
    offset: int
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRead:
    """A client read where a run stands."""

    since: float
    at: float
    client: str
    run: str
    status: str
    end_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSeen:
    """A message as its run's inbox shows it."""

    text: str
    status: str
    error: str | None = None
    id: str | None = None  # by which the events of its run name it


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRead:
    """A client read the whole inbox of a run."""

    since: float
    at: float
    client: str
    run: str
    messages: tuple[MessageSeen, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRead:
    """A client fetched an artifact: the digest of what came, or None where there was none of that name."""

    since: float
    at: float
    client: str
    run: str
    name: str
    digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The agent of a run heard something: a message (its text), a command (its word), or an answer (the request, and the option)."""

    at: float
    client: str
    run: str
    kind: Kind
    item: str
    option: str | None = None
    epoch: int | None = None  # of the agent, where that is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something of a run was found on a machine: a process, a container, a workspace."""

    at: float
    client: str
    run: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What of a run this history holds completely: every entry that anybody wrote, everything that its agent heard."""

    at: float
    client: str
    run: str
    entries: bool = False
    agent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Nothing is on its way any more: what has not happened by now will not happen. What is read from now on shows how it all ended."""

    at: float
    client: str


Record = (
    Sent
    | Answered
    | Opened
    | Frame
    | Closed
    | LogRead
    | PageRead
    | StateRead
    | InboxRead
    | ArtifactRead
    | Heard
    | Leftover
    | Scope
    | Settled
)
