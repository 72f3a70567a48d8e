"""Chunks of text become whole messages, in order with everything else."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hedgerow.agent_server.entries import EntryWriter
from hedgerow.agent_server.journal import Journal
from hedgerow.agent_server.narration import Narration
from hedgerow.agent_server.spool import Spool
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.masking import Mask


class Desk:
    """A narration with what came out of it."""

    def __init__(self, folder: Path, clock: FixedClock) -> None:
        self.journal = Journal(Spool(folder))
        self.writer = EntryWriter(clock)
        self.written: list[dict[str, Any]] = []
        self.narration = Narration(self.journal, self.writer, lambda entry: self.written.append(json.loads(entry)))

    def chunk(self, text: str, kind: str = "agent_message_chunk", **more: Any) -> bool:
        content = {"type": "text", "text": text}
        return self.narration.takes({"sessionId": "s", "update": {"sessionUpdate": kind, "content": content, **more}})

    @property
    def texts(self) -> list[tuple[str, str]]:
        updates = [entry["notification"]["params"]["update"] for entry in self.written]
        return [(update["sessionUpdate"], update["content"]["text"]) for update in updates]

    @property
    def shown(self) -> str:
        entries = [json.loads(entry) for _, entry in self.journal.previews]
        return "".join(entry["notification"]["params"]["update"]["content"]["text"] for entry in entries)


@pytest.fixture
async def desk(tmp_path: Path, fixed_clock: FixedClock) -> Desk:
    return Desk(tmp_path, fixed_clock)


async def test_a_message_has_the_time_of_its_first_chunk(desk: Desk, fixed_clock: FixedClock) -> None:
    desk.chunk("Hel")
    fixed_clock.advance(timedelta(seconds=5))
    desk.chunk("lo")
    desk.narration.flush()
    assert desk.texts == [("agent_message", "Hello")]
    assert desk.written[0]["timestamp"] == "2026-11-22T12:00:00.000Z"
    assert "sessionId" not in desk.written[0]["notification"]["params"]


async def test_any_other_update_ends_the_message(desk: Desk) -> None:
    desk.chunk("Hello")
    assert desk.narration.takes({"update": {"sessionUpdate": "plan", "entries": []}}) is False
    assert desk.texts == [("agent_message", "Hello")]


async def test_thoughts_and_messages_are_kept_apart(desk: Desk) -> None:
    for text, kind in [("a", "agent_thought_chunk"), ("b", "agent_thought_chunk"), ("c", "agent_message_chunk")]:
        assert desk.chunk(text, kind)
    desk.narration.flush()
    assert desk.texts == [("agent_thought_chunk", "ab"), ("agent_message", "c")]
    assert desk.narration.said == "c"


async def test_another_message_id_begins_another_message(desk: Desk) -> None:
    desk.chunk("one", messageId="1")
    desk.chunk("two", messageId="2")
    desk.narration.flush()
    assert desk.texts == [("agent_message", "one"), ("agent_message", "two")]


async def test_a_picture_is_kept_as_a_message(desk: Desk) -> None:
    picture = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
    assert desk.narration.takes({"update": {"sessionUpdate": "agent_message_chunk", "content": picture}})
    assert desk.written[0]["notification"]["params"]["update"] == {"sessionUpdate": "agent_message", "content": picture}


async def test_a_secret_in_two_chunks_is_shown_by_neither(desk: Desk) -> None:
    desk.writer.mask = Mask(["sk-0123456789"])
    desk.chunk("The key: sk-01234")
    assert desk.shown == "The key: "
    desk.chunk("56789. Bye")
    assert desk.shown == "The key: ***. Bye"
    desk.narration.flush()
    assert desk.texts == [("agent_message", "The key: ***. Bye")]
