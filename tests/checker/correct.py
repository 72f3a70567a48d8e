"""A small model of a correct hedgerow: actors take turns at random, and each records what it sees. Its histories hold every guarantee."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

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
    MessageSeen,
    Opened,
    PageRead,
    Record,
    Scope,
    Sent,
    Settled,
    StateRead,
)

RUN = "run-1"
END_SECONDS = 10_000.0
LEAVE_SECONDS = 100.0
STATE = '{"type":"task_run_state","status":"in_progress"}'


def told(kind: str, **params: str) -> str:
    """The text of an event that tells what became of a message or a permission request."""
    return json.dumps({"type": kind, "notification": {"method": f"_posthog/{kind}", "params": params}})


def asked(request: str) -> str:
    """The text of the event of a permission request."""
    return json.dumps({"type": "permission_request", "requestId": request})


@dataclass
class World:
    """What the server holds, and what was recorded of it. Each record takes a second."""

    random: Random
    now: float = 0.0
    history: list[Record] = field(default_factory=list)
    journal: list[str] = field(default_factory=list)
    inbox: list[dict[str, Any]] = field(default_factory=list)
    answered: dict[str, str] = field(default_factory=dict)
    epoch: int = 1
    open: int = 0  # actors that are still at work
    status: str = "in_progress"
    calls: int = 0

    def note(self, record: type[Record], /, **members: Any) -> None:
        self.now += 1.0
        self.history.append(record(at=self.now, **members))

    def send(self, client: str, kind: Kind, *items: str, **members: Any) -> str:
        self.calls += 1
        call = f"call-{self.calls}"
        self.note(Sent, client=client, run=RUN, call=call, kind=kind, items=items, **members)
        return call

    def entries(self) -> tuple[str, ...]:
        return tuple(text for text in self.journal if text.startswith('{"of"'))

    def tell(self, message: dict[str, Any], status: str, **more: str) -> None:
        """Let a message stand somewhere else, with the event of it."""
        message.update(status=status, **more)
        self.journal.append(told("message_status", messageId=message["id"], status=status, **more))


def writer(world: World, name: str) -> Iterator[None]:
    """Appends entries; some calls are refused, some answers are lost, and some of those calls are repeated under their key."""
    for index in range(3):
        texts = tuple(f'{{"of":"{name}","n":{index},"m":{m}}}' for m in range(world.random.randint(1, 3)))
        outcome = world.random.choice(["accepted", "accepted", "refused", "unknown", "repeated"]) if index else "accepted"
        call = world.send(name, Kind.ENTRIES, *texts, key=f"{name}-{index}", epoch=world.epoch)
        yield
        if outcome == "refused":
            world.note(Answered, client=name, call=call, accepted=False)
            continue
        if outcome != "unknown" or world.random.random() < 0.5:
            world.journal.extend(texts)
        yield
        if outcome == "repeated":
            call = world.send(name, Kind.ENTRIES, *texts, key=f"{name}-{index}", epoch=world.epoch)
        if outcome != "unknown":
            world.note(Answered, client=name, call=call, accepted=True)
        yield


def imitator(world: World, name: str) -> Iterator[None]:
    """Appends entries that look like words of the server, but for the first member of each."""
    lies = [
        told("message_status", messageId="id of speaker says 0", status="delivered"),
        told("permission_answered", requestId="request-1", optionId="perhaps"),
        STATE,
    ]
    for lie in lies:
        text = f'{{"of":"{name}",{lie[1:]}'
        call = world.send(name, Kind.ENTRIES, text)
        yield
        world.journal.append(text)
        world.note(Answered, client=name, call=call, accepted=True)
        yield


def states(world: World) -> Iterator[None]:
    """The server's own events, a permission request that nobody answers, and a new epoch."""
    world.journal.append(asked("request-2"))
    for _ in range(3):
        world.journal.append(STATE)
        yield
    world.journal.append(told("permission_void", requestId="request-2", reason="The run ended."))
    world.epoch += 1
    yield


def reader(world: World, name: str) -> Iterator[None]:
    """Reads the stream in pieces, each from where the last one was cut, until the server ends it."""
    after = 0
    for piece in range(100):
        reading, left = f"reading-{piece}", world.random.randint(1, 6)
        world.note(Opened, client=name, run=RUN, reading=reading, after=after)
        while left and (world.open or after < len(world.journal)):
            if after < len(world.journal):
                after += 1
                left -= 1
                world.note(Frame, client=name, reading=reading, number=after, text=world.journal[after - 1])
            yield
        drained = not world.open and after == len(world.journal)
        world.note(Closed, client=name, reading=reading, drained=drained)
        if drained:
            return
        yield


def log_reader(world: World, name: str) -> Iterator[None]:
    """Reads the log and a page of it now and then; the server looks at its journal between the question and the answer."""
    for _ in range(3):
        since = world.now + 0.5
        yield
        texts = world.entries()
        offset = world.random.randint(0, len(texts))
        yield
        world.note(LogRead, since=since, client=name, run=RUN, texts=texts)
        world.note(PageRead, since=since, client=name, run=RUN, offset=offset, texts=texts[offset : offset + 3])


def speaker(world: World, name: str) -> Iterator[None]:
    """Says things, and takes one back where it is not too late."""
    for index in range(3):
        text = f"{name} says {index}"
        call = world.send(name, Kind.MESSAGE, text)
        yield
        message = {"text": text, "status": "queued", "error": None, "id": f"id of {text}"}
        world.inbox.append(message)
        world.tell(message, "queued")
        world.note(Answered, client=name, call=call, accepted=True, name=message["id"])
        yield
    taken_back = world.inbox[-1]
    call = world.send(name, Kind.WITHDRAWAL, taken_back["text"])
    gone = taken_back["status"] == "queued"
    if gone:
        world.inbox.remove(taken_back)
        world.tell(dict(taken_back), "removed")
    yield
    world.note(Answered, client=name, call=call, accepted=gone)


def agent(world: World) -> Iterator[None]:
    """Hears messages in order; the last one fails."""
    for _ in range(40):
        message = next((message for message in world.inbox if message["status"] == "queued"), None)
        if message is None:
            yield
            continue
        world.tell(message, "delivered")
        world.note(Heard, client="agent", run=RUN, kind=Kind.MESSAGE, item=message["text"])
        yield
        world.tell(message, "acknowledged")
    for message in world.inbox:
        if message["status"] == "queued":
            world.tell(message, "failed", error="The run ended.")


def judge(world: World, name: str, request: str) -> Iterator[None]:
    """Answers a permission request, which others may have answered before."""
    option = f"option of {name}"
    call = world.send(name, Kind.ANSWER, request, option)
    yield
    first = request not in world.answered
    if first:
        world.answered[request] = option
        world.journal.append(told("permission_answered", requestId=request, state="answered", optionId=option))
        world.journal.append(told("permission_delivered", requestId=request, optionId=option))
        world.note(Heard, client="agent", run=RUN, kind=Kind.ANSWER, item=request, option=option)
    yield
    world.note(Answered, client=name, call=call, accepted=first)


def uploader(world: World) -> Iterator[None]:
    """Sends an artifact, and fetches it."""
    call = world.send("uploader", Kind.ARTIFACT, "result.txt", "digest-1")
    yield
    world.note(Answered, client="uploader", call=call, accepted=True)
    since = world.now + 0.5
    yield
    world.note(ArtifactRead, since=since, client="uploader", run=RUN, name="result.txt", digest="digest-1")
    call = world.send("uploader", Kind.COMMAND, "cancel-1")
    yield
    world.note(Heard, client="agent", run=RUN, kind=Kind.COMMAND, item="cancel-1")
    world.note(Answered, client="uploader", call=call, accepted=True)


def watcher(world: World) -> Iterator[None]:
    """Looks at the run and at its inbox while it goes on."""
    for _ in range(2):
        since = world.now + 0.5
        yield
        world.note(StateRead, since=since, client="watcher", run=RUN, status=world.status)
        world.note(InboxRead, since=world.now, client="watcher", run=RUN, messages=_inbox(world))
        world.note(Leftover, client="watcher", run=RUN, what="a process")


def _inbox(world: World) -> tuple[MessageSeen, ...]:
    return tuple(MessageSeen(**message) for message in world.inbox)


def correct_history(random: Random) -> list[Record]:
    """One history of a run: it starts, is worked on, ends, and is looked at from all sides."""
    world = World(random)
    world.note(Scope, client="driver", run=RUN, entries=True, agent=True)
    world.note(Answered, client="starter", call=world.send("starter", Kind.START), accepted=True)
    world.journal.append(asked("request-1"))
    workers = [
        writer(world, "writer-1"),
        writer(world, "writer-2"),
        imitator(world, "imitator"),
        states(world),
        log_reader(world, "log-reader"),
        speaker(world, "speaker"),
        agent(world),
        *(judge(world, f"judge-{index}", "request-1") for index in range(3)),
        uploader(world),
        watcher(world),
    ]
    readers = [reader(world, f"reader-{index}") for index in range(2)]
    world.open = len(workers)
    _take_turns(world, workers, readers)
    _conclude(world)
    return world.history


def _take_turns(world: World, workers: list[Iterator[None]], readers: list[Iterator[None]]) -> None:
    while workers or readers:
        actors = world.random.choice([actors for actors in (workers, readers) if actors])
        actor = world.random.choice(actors)
        if next(actor, "over") == "over":
            actors.remove(actor)
            world.open = len(workers)


def _conclude(world: World) -> None:
    world.status = "completed"
    world.note(Settled, client="driver")
    for _ in range(2):
        world.note(StateRead, since=world.now + 0.5, client="watcher", run=RUN, status="completed", end_reason="finished")
    world.note(InboxRead, since=world.now + 0.5, client="watcher", run=RUN, messages=_inbox(world))
    world.note(LogRead, since=world.now + 0.5, client="last", run=RUN, texts=world.entries())
    for _ in reader(world, "last"):
        pass
    for _ in log_reader(world, "last-log"):
        pass
