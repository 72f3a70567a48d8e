"""Entries reach the control plane exactly once and in order, whatever happens in between."""

import asyncio
import json
import os

import pytest

from tests.agent_server.sandbox import Sandbox

pytestmark = pytest.mark.whole

BURST = {"burst": {"count": 1500, "text": "an entry of a burst"}}


async def test_nothing_is_lost_while_the_control_plane_is_away(sandbox: Sandbox) -> None:
    await sandbox.session()
    await sandbox.control_plane.go()
    assert (await sandbox.play(BURST))["result"] == {"stopReason": "end_turn"}
    assert (await sandbox.command("close", timeout_seconds=0.1)).json()["result"] == {"closed": True, "flushed": False}
    await sandbox.control_plane.come()
    await sandbox.control_plane.until(lambda: len(sandbox.control_plane.entries) == len(sandbox.spooled()))
    assert sandbox.control_plane.entries == sandbox.spooled()


async def test_answers_that_are_lost_after_the_work_was_done_double_nothing(sandbox: Sandbox) -> None:
    sandbox.control_plane.break_off_after = 5
    await sandbox.session()
    await sandbox.play(BURST)
    assert (await sandbox.command("close")).json()["result"]["flushed"] is True
    assert sandbox.control_plane.entries == sandbox.spooled()


async def test_an_overloaded_control_plane_is_asked_again(sandbox: Sandbox) -> None:
    sandbox.control_plane.status = 503
    await sandbox.session()
    await sandbox.control_plane.until(lambda: sandbox.control_plane.requests >= 3)
    sandbox.control_plane.status = 429
    seen = sandbox.control_plane.requests
    await sandbox.control_plane.until(lambda: sandbox.control_plane.requests > seen)
    sandbox.control_plane.status = 200
    await sandbox.control_plane.until_method("_posthog/run_started")


async def test_a_log_on_a_full_disk_does_not_stop_the_pushing(sandbox: Sandbox) -> None:
    await sandbox.kill()
    full = os.open("/dev/full", os.O_WRONLY)
    await sandbox.start(log=full)
    os.close(full)
    sandbox.control_plane.status = 503
    await sandbox.session()
    await sandbox.control_plane.until(lambda: sandbox.control_plane.requests >= 3)
    sandbox.control_plane.status = 200
    await sandbox.control_plane.until_method("_posthog/run_started")


async def test_a_slow_control_plane_gets_few_and_large_batches(sandbox: Sandbox) -> None:
    await sandbox.session()
    await sandbox.control_plane.until_method("_posthog/run_started")
    before = sandbox.control_plane.requests
    sandbox.control_plane.open.clear()
    await sandbox.play(BURST)
    sandbox.control_plane.open.set()
    assert (await sandbox.command("close")).json()["result"]["flushed"] is True
    assert sandbox.control_plane.requests - before <= 8
    assert sandbox.control_plane.entries == sandbox.spooled()


async def test_after_kill_in_the_middle_of_a_stream_every_entry_arrives_once(sandbox: Sandbox) -> None:
    plane = sandbox.control_plane
    await sandbox.session()
    plane.break_off_after = 2
    turn = sandbox.play_later({"burst": {"count": 20000, "text": "x" * 200}})
    await plane.until(lambda: len(plane.entries) > 2000)
    await sandbox.kill()
    await asyncio.gather(turn, return_exceptions=True)
    await sandbox.start()
    await sandbox.session()
    assert (await sandbox.play({"say": "I am back."}))["result"]["assistant_message"] == "I am back."
    assert (await sandbox.command("close")).json()["result"]["flushed"] is True
    assert len(plane.entries) > 2000
    assert plane.entries == sandbox.spooled()


async def test_a_message_whose_turn_was_cut_off_by_a_kill_is_reported_and_not_played_again(sandbox: Sandbox) -> None:
    await sandbox.session()
    await sandbox.command("user_message", prefer="respond-async", message_id="cut", content=json.dumps([{"sleep": 60}]))
    await sandbox.command("user_message", prefer="respond-async", message_id="waits", content=json.dumps([{"say": "Here."}]))
    await sandbox.control_plane.until_method("session/prompt")
    await sandbox.kill()
    await sandbox.start()
    await sandbox.session()
    complete = await sandbox.control_plane.until_method("_posthog/turn_complete")
    assert complete["messageId"] == "waits"
    errors = sandbox.control_plane.of_method("_posthog/error")
    assert [(error["messageId"], error["message"]) for error in errors] == [
        ("cut", "The agent server was restarted during the turn of this message.")
    ]
    repeated = await sandbox.command("user_message", prefer="respond-async", message_id="cut", content="again")
    assert repeated.status_code == 202
    await sandbox.command("close")
    assert len(sandbox.control_plane.of_method("session/prompt")) == 2


async def test_a_refused_entry_leaves_a_marker_and_takes_no_other_with_it(sandbox: Sandbox) -> None:
    sandbox.control_plane.refuses = lambda entry: "poison" in json.dumps(entry)
    await sandbox.session()
    await sandbox.control_plane.until_method("_posthog/run_started")
    sandbox.control_plane.open.clear()
    await sandbox.play({"burst": 100}, {"think": "poison"}, {"burst": 100})
    sandbox.control_plane.open.set()
    assert (await sandbox.command("close")).json()["result"]["flushed"] is True
    expected = [entry for entry in sandbox.spooled() if "poison" not in json.dumps(entry)]
    remarks = [entry for entry in sandbox.control_plane.entries if entry["notification"].get("method") == "_posthog/console"]
    assert len(remarks) == len(sandbox.spooled()) - len(expected) == 2  # the prompt and the thought
    assert "was refused (status 400)" in remarks[0]["notification"]["params"]["message"]
    assert [entry for entry in sandbox.control_plane.entries if entry not in remarks] == expected


async def test_an_agent_server_whose_token_was_revoked_stops_its_agent(sandbox: Sandbox) -> None:
    await sandbox.session()
    await sandbox.control_plane.until_method("_posthog/run_started")
    sandbox.control_plane.status = 403
    answer = await sandbox.play({"sleep": 60})
    assert answer["error"]["message"] == "The control plane has taken the run away from this agent server."
    assert (await sandbox.http.get("/health")).json()["hasSession"] is False
    seen = sandbox.control_plane.requests
    code, words = await sandbox.terminate()
    assert (code, sandbox.control_plane.requests) == (0, seen)
    assert "no longer takes this run's token (status 403)" in words
