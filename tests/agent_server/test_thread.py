"""What an agent says and asks is told in its thread, where its run has one."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from hedgerow.agent_server import push
from hedgerow.agent_server.entries import EntryWriter
from hedgerow.agent_server.gate_client import GateClient
from hedgerow.agent_server.journal import Journal
from hedgerow.agent_server.permissions import CANCELLED, Permissions, question_text
from hedgerow.agent_server.push import Pusher
from hedgerow.agent_server.spool import Spool
from hedgerow.domain.clock import SystemClock
from hedgerow.domain.runs import RunMode
from tests.agent_server.fake_control_plane import FakeControlPlane
from tests.agent_server.sandbox import RUN_TOKEN, Sandbox
from tests.agent_server.test_permissions import Journal as Requested

pytestmark = pytest.mark.whole

TELLS = {"tells_thread": True}


async def test_what_was_said_in_a_turn_is_posted_before_its_end_is_told(sandbox: Sandbox) -> None:
    await sandbox.session(more=TELLS)
    await sandbox.play({"say": "First."}, {"think": "hm"}, {"say": "Second."})
    plane = sandbox.control_plane
    await plane.until_method("_posthog/turn_complete")
    assert [body["text"] for body, _ in plane.relays] == ["First.\n\nSecond."]
    assert plane.relays[0][1] <= plane.order.index("_posthog/turn_complete")


async def test_a_run_without_a_thread_and_a_turn_without_words_post_nothing(sandbox: Sandbox) -> None:
    await sandbox.session()
    await sandbox.play({"say": "Into the void."})
    await sandbox.control_plane.until_method("_posthog/turn_complete")
    assert sandbox.control_plane.relays == []


async def test_a_silent_turn_posts_nothing(sandbox: Sandbox) -> None:
    await sandbox.session(more=TELLS)
    await sandbox.play({"think": "hm"})
    await sandbox.control_plane.until_method("_posthog/turn_complete")
    assert sandbox.control_plane.relays == []


async def test_a_long_turn_is_shortened_and_keeps_its_end(sandbox: Sandbox) -> None:
    await sandbox.session(more=TELLS)
    await sandbox.play({"say": "x" * 30_000}, {"think": "."}, {"say": "The end."})
    await sandbox.control_plane.until_method("_posthog/turn_complete")
    ((body, _),) = sandbox.control_plane.relays
    assert len(body["text"]) == 10_000
    assert body["text"].endswith("x\n\nThe end.")


async def test_an_answer_that_is_lost_doubles_no_message(sandbox: Sandbox) -> None:
    await sandbox.session(more=TELLS)
    await sandbox.control_plane.until_method("_posthog/run_started")
    sandbox.control_plane.break_off_after = 6
    await sandbox.play({"say": "Once."})
    await sandbox.control_plane.until_method("_posthog/turn_complete")
    assert [body["text"] for body, _ in sandbox.control_plane.relays] == ["Once."]


async def test_messages_that_cannot_be_taken_do_not_hold_up_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "_LONGEST_PAUSE_SECONDS", 0.05)
    with tempfile.TemporaryDirectory(prefix="h-") as folder:
        plane, journal, writer = (
            FakeControlPlane(Path(folder) / "gate.sock"),
            Journal(Spool(Path(folder) / "spool")),
            EntryWriter(SystemClock()),
        )
        await plane.come()
        plane.relay_status = 503
        pusher = Pusher(journal, GateClient(Path(folder) / "gate.sock"), writer, "/runs/1/", revoked=never)
        pusher.start(RUN_TOKEN)
        pusher.relay("Nobody hears this.")
        journal.write(writer.console("info", "The journal goes on."))
        assert (await plane.until_method("_posthog/console"))["message"] == "The journal goes on."
        assert plane.relay_asked == push._RELAY_ATTEMPTS
        assert plane.relays == []
        await pusher.stop()
        await plane.go()


async def never() -> None:
    raise AssertionError("nobody has taken the run's token away")


QUESTION = {
    "toolCall": {
        "title": "A question",
        "_meta": {
            "codeToolKind": "question",
            "questions": [
                {"question": "Which colour?", "options": [{"label": "Red", "description": "like a rose"}, {"label": "Green"}, 7]},
                {"question": "How high?"},
            ],
        },
    },
    "options": [{"optionId": "red", "kind": "allow_once"}],
}


@pytest.mark.parametrize("mode", list(RunMode))
async def test_a_question_is_posted_and_counts_as_cancelled(mode: RunMode) -> None:
    posted: list[str] = []
    journal = Requested()
    permissions = Permissions(mode, journal, posted.append)
    assert await permissions.decide(QUESTION, "default") == CANCELLED
    assert posted == ["Which colour?\n• Red: like a rose\n• Green\n\nHow high?"]
    assert journal.requests == []


async def test_what_is_no_question_is_not_posted() -> None:
    posted: list[str] = []
    permissions = Permissions(RunMode.BACKGROUND, Requested(), posted.append)
    answer = await permissions.decide({"toolCall": {"kind": "edit"}, "options": QUESTION["options"]}, "default")
    assert (answer["outcome"]["optionId"], posted) == ("red", [])


@pytest.mark.parametrize(
    ("tool_call", "text"),
    [
        ({"title": "Which?", "_meta": {"questions": "broken"}}, "Which?"),
        ({"_meta": {"questions": [5, {"question": 6, "options": 7}]}}, "The agent has a question."),
        ("broken", "The agent has a question."),
    ],
)
def test_a_question_of_any_shape_has_a_text(tool_call: Any, text: str) -> None:
    assert question_text(json.loads(json.dumps({"toolCall": tool_call}))) == text
