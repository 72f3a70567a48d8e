"""An agent acts only as long as its node says that it may."""

import asyncio
import signal

import pytest

from tests.agent_server.sandbox import Sandbox

pytestmark = pytest.mark.whole

LEASE = {"lease_seconds": 1.0}


async def test_a_turn_goes_on_for_as_long_as_the_node_answers(sandbox: Sandbox) -> None:
    sandbox.control_plane.lease_seconds = 1.0
    await sandbox.session(more=LEASE)
    assert (await sandbox.play({"sleep": 1.5}))["result"] == {"stopReason": "end_turn"}
    assert sandbox.control_plane.lease_asked >= 3


async def test_an_agent_that_nobody_answers_in_the_middle_of_its_turn_is_stopped_within_the_lease_and_says_so_later(
    sandbox: Sandbox,
) -> None:
    plane = sandbox.control_plane
    plane.lease_seconds = 1.0
    await sandbox.session(more=LEASE)
    playing = sandbox.play_later({"sleep": 60})
    await plane.until(lambda: plane.lease_asked >= 1)
    await plane.go()
    async with asyncio.timeout(4):
        document = await playing
    assert "for 1 seconds" in str(document)
    await plane.come()
    await plane.until(lambda: any(patch.get("end_reason") == "agent_lost" for patch in plane.patches))
    assert "had not answered" in next(iter(plane.of_method("_posthog/error")))["message"]


async def test_a_node_that_may_not_act_lets_no_turn_begin(sandbox: Sandbox) -> None:
    await sandbox.session(more=LEASE)
    async with asyncio.timeout(6):
        assert "error" in await sandbox.play({"say": "Hello."})
    assert sandbox.control_plane.updates("agent_message_chunk") == []
    assert sandbox.control_plane.updates("agent_message") == []


async def test_the_answer_says_how_little_is_left_of_the_nodes_own_lease(sandbox: Sandbox) -> None:
    sandbox.control_plane.lease_seconds = 0.2
    await sandbox.session(more={"lease_seconds": 30.0})
    playing = sandbox.play_later({"sleep": 60})
    await sandbox.control_plane.until(lambda: sandbox.control_plane.lease_asked >= 1)
    await sandbox.control_plane.go()
    async with asyncio.timeout(5):
        assert "error" in await playing


async def test_nobody_is_asked_while_no_turn_runs(sandbox: Sandbox) -> None:
    sandbox.control_plane.lease_seconds = 1.0
    await sandbox.session(more=LEASE)
    await sandbox.play({"say": "Hello."})
    asked = sandbox.control_plane.lease_asked
    assert asked == 1
    sandbox.control_plane.lease_seconds = None
    await asyncio.sleep(1.2)  # longer than the lease: an idle agent needs none
    sandbox.control_plane.lease_seconds = 1.0
    assert (await sandbox.play({"say": "Hello again."}))["result"]["stopReason"] == "end_turn"
    assert sandbox.control_plane.lease_asked == asked + 1


async def test_a_machine_that_has_slept_lets_its_agents_ask_once_more(sandbox: Sandbox) -> None:
    sandbox.control_plane.lease_seconds = 1.0
    await sandbox.session(more=LEASE)
    playing = sandbox.play_later({"sleep": 3.5})
    await sandbox.control_plane.until(lambda: sandbox.control_plane.lease_asked >= 2)
    assert sandbox.process is not None
    sandbox.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(2.5)  # longer than the lease, and than anybody oversleeps
    sandbox.process.send_signal(signal.SIGCONT)
    assert (await playing)["result"] == {"stopReason": "end_turn"}


async def test_a_length_that_is_none_is_refused_by_its_name(sandbox: Sandbox) -> None:
    answer = await sandbox.session(more={"lease_seconds": 0})
    assert answer.status_code == 400
    assert "lease_seconds" in answer.json()["error"]
