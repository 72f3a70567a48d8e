"""The agent server as a process, with the scripted agent in it."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.agent_server.sandbox import RUN_TOKEN, SECRET, Sandbox

pytestmark = pytest.mark.whole

SAY = {"say": "I have done what was asked, as well as I could."}


async def test_a_session_is_there_once_the_agent_answers(sandbox: Sandbox) -> None:
    before = (await sandbox.http.get("/health")).json()
    answer = await sandbox.session()
    assert (answer.status_code, answer.json()) == (200, {"hasSession": True})
    assert before == {"status": "ok", "hasSession": False}
    assert (await sandbox.http.get("/health")).json() == {"status": "ok", "hasSession": True}


async def test_both_directions_and_the_start_stand_in_the_journal(sandbox: Sandbox) -> None:
    await sandbox.session()
    started = await sandbox.control_plane.until_method("_posthog/run_started")
    assert started["runId"] == sandbox.run_id
    assert started["sessionId"]
    methods = [entry["notification"].get("method", "answer") for entry in sandbox.control_plane.entries]
    assert methods[:4] == ["initialize", "answer", "session/new", "answer"]
    await sandbox.control_plane.until(lambda: {"status": "in_progress"} in sandbox.control_plane.patches)
    assert sandbox.control_plane.authorizations == {f"Bearer {RUN_TOKEN}"}


async def test_a_repeated_session_call_starts_no_second_agent(sandbox: Sandbox) -> None:
    answers = await asyncio.gather(*(sandbox.session() for _ in range(3)))
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    await sandbox.command("close")
    assert len(sandbox.control_plane.of_method("initialize")) == 1


async def test_a_blocking_message_answers_with_what_the_agent_said(sandbox: Sandbox) -> None:
    await sandbox.session()
    answer = await sandbox.play(SAY, {"tool": "Look"}, {"say": "Bye."})
    assert answer == {"jsonrpc": "2.0", "id": 7, "result": {"stopReason": "end_turn", "assistant_message": f"{SAY['say']}\n\nBye."}}


async def test_streamed_words_are_shown_live_and_kept_as_one_message(sandbox: Sandbox) -> None:
    await sandbox.session()
    await sandbox.play({"say": {"text": SAY["say"], "delay_seconds": 0.05}})
    await sandbox.control_plane.until_method("_posthog/turn_complete")
    assert [update["content"]["text"] for update in sandbox.control_plane.updates("agent_message")] == [SAY["say"]]
    shown = [entry["notification"]["params"]["update"]["content"]["text"] for entry in sandbox.control_plane.previews]
    assert len(shown) >= 1
    assert SAY["say"].startswith("".join(shown))


async def test_a_message_is_delivered_once_however_often_it_is_sent(sandbox: Sandbox) -> None:
    await sandbox.session()
    params = {"content": json.dumps([SAY]), "message_id": "m-1"}
    answers = [await sandbox.command("user_message", prefer="respond-async", **params) for _ in range(3)]
    assert [(answer.status_code, answer.json()["result"]) for answer in answers] == [(202, {"accepted": True})] * 3
    complete = await sandbox.control_plane.until_method("_posthog/turn_complete")
    assert (complete["messageId"], complete["stopReason"]) == ("m-1", "end_turn")
    blocking = await sandbox.command("user_message", **params)
    assert blocking.json()["result"]["stopReason"] == "end_turn"
    await sandbox.command("close")
    assert len(sandbox.control_plane.of_method("session/prompt")) == 1


async def test_messages_are_played_in_the_order_in_which_they_came(sandbox: Sandbox) -> None:
    await sandbox.session()
    for number in range(3):
        content = json.dumps([{"sleep": 0.05 if number == 0 else 0}, {"say": f"turn {number}"}])
        await sandbox.command("user_message", prefer="respond-async", content=content, message_id=f"m-{number}")
    await sandbox.control_plane.until_method("_posthog/turn_complete", 3)
    assert [update["content"]["text"] for update in sandbox.control_plane.updates("agent_message")] == ["turn 0", "turn 1", "turn 2"]


async def test_a_broken_script_fails_the_run_with_its_sentence(sandbox: Sandbox) -> None:
    await sandbox.session()
    answer = await sandbox.play({"sing": "la"})
    assert answer["error"]["code"] == -32000
    assert answer["error"]["message"].startswith("Step 0 has the unknown key 'sing'")
    await sandbox.control_plane.until(lambda: len(sandbox.control_plane.patches) == 2)
    assert sandbox.control_plane.patches[1] == {
        "status": "failed",
        "error_message": answer["error"]["message"],
        "end_reason": "agent_failed",
    }
    error = sandbox.control_plane.of_method("_posthog/error")[0]
    assert (error["message"], error["endReason"]) == (answer["error"]["message"], "agent_failed")


async def test_a_later_failure_leaves_the_run_as_it_is(sandbox: Sandbox) -> None:
    await sandbox.session()
    await sandbox.play(SAY)
    answer = await sandbox.play({"fail": "The second try went wrong."})
    assert answer["error"] == {"code": -32000, "message": "The second try went wrong."}
    await sandbox.command("close")
    assert sandbox.control_plane.patches == [{"status": "in_progress"}]


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["/no/such/agent"], "The agent could not be started: the command '/no/such/agent' was not found."),
        (
            ["sh", "-c", "echo no key: $ANTHROPIC_API_KEY >&2; exit 3"],
            "The agent could not be started: it ended with exit code 3: no key: ***",
        ),
        (["sh", "-c", "exec 1>&-; exec sleep 30"], "The agent could not be started: it closed its output."),
    ],
)
async def test_an_agent_that_does_not_start_is_told_in_one_sentence(sandbox: Sandbox, command: list[str], sentence: str) -> None:
    for _ in range(2):
        answer = await sandbox.session(*command)
        assert (answer.status_code, answer.json()) == (502, {"error": sentence})
    assert (await sandbox.http.get("/health")).json()["hasSession"] is False


async def test_an_agent_that_refuses_a_session_is_quoted(sandbox: Sandbox) -> None:
    error = {"jsonrpc": "2.0", "id": 0, "error": {"code": -32000, "message": "Please log in"}}
    refuse = f"import sys; sys.stdin.readline(); print({json.dumps(error)!r}, flush=True); sys.stdin.read()"
    answer = await sandbox.session(sys.executable, "-c", refuse)
    assert (answer.status_code, answer.json()) == (502, {"error": "The agent could not be started: Please log in."})


async def test_an_agent_cannot_say_in_the_agent_servers_name_that_its_turn_is_over(sandbox: Sandbox) -> None:
    lies = ["_posthog/turn_complete", "__posthog/error"]
    told = "".join(f"{json.dumps({'jsonrpc': '2.0', 'method': lie, 'params': {'message': 'A lie'}})}\n" for lie in lies)
    await sandbox.session("sh", "-c", 'printf %s "$0"; exec "$1" -m hedgerow.scripted_agent', told, sys.executable)
    await sandbox.play({"say": "The truth."})
    plane = sandbox.control_plane
    assert "stopReason" in await plane.until_method("_posthog/turn_complete")
    assert plane.of_method(lies[1]) == []
    remarks = [told["message"] for told in plane.of_method("_posthog/console")]
    assert [lie for lie in lies if f"The agent sent {lie}, which is not for it to say; it was left out." in remarks] == lies


async def test_the_death_of_an_agent_is_reported_at_once(sandbox: Sandbox) -> None:
    await sandbox.session()
    answer = await sandbox.play({"exit": 3})
    sentence = "The agent ended unexpectedly with exit code 3: The script asked for this exit."
    assert answer["error"] == {"code": -32000, "message": sentence}
    await sandbox.control_plane.until(lambda: len(sandbox.control_plane.patches) == 2)
    assert sandbox.control_plane.patches[1] == {"status": "failed", "error_message": sentence, "end_reason": "agent_lost"}
    errors = sandbox.control_plane.of_method("_posthog/error")
    assert [(error["message"], error["endReason"]) for error in errors] == [(sentence, "agent_lost")]
    assert (await sandbox.command("cancel")).status_code == 400


async def test_an_agent_that_closes_its_output_counts_as_lost(sandbox: Sandbox) -> None:
    await sandbox.session()
    answer = await sandbox.play({"run": "kill -9 $PPID"})
    assert answer["error"]["message"].startswith("The agent ended unexpectedly with signal SIGKILL")


async def test_background_runs_approve_what_is_asked(sandbox: Sandbox) -> None:
    await sandbox.session()
    assert (await sandbox.play({"ask": "Delete everything"}, SAY))["result"]["assistant_message"] == SAY["say"]


async def test_an_interactive_run_asks_a_person(sandbox: Sandbox) -> None:
    await sandbox.session(mode="interactive")
    turn = sandbox.play_later({"ask": "Delete everything"}, SAY)
    plane = sandbox.control_plane
    await plane.until(lambda: any(entry["type"] == "permission_request" for entry in plane.entries))
    request = next(entry for entry in plane.entries if entry["type"] == "permission_request")
    assert request["toolCall"]["title"] == "Delete everything"
    wrong = await sandbox.command("permission_response", requestId=request["requestId"], optionId="maybe")
    assert wrong.json()["error"] == {"code": -32602, "message": "optionId must be one of: allow, allow_always, reject."}
    right = await sandbox.command("permission_response", requestId=request["requestId"], optionId="allow", customInput="go")
    assert right.json()["result"] == {"resolved": True}
    again = await sandbox.command("permission_response", requestId=request["requestId"], optionId="allow", customInput="go")
    assert again.json()["error"]["code"] == -32000
    sent_again = {"requestId": request["requestId"], "optionId": "allow", "customInput": "go", "again": True}
    assert (await sandbox.command("permission_response", **sent_again)).json()["result"] == {"resolved": True}
    told = await plane.until_method("_posthog/permission_resolved")
    assert told == {"requestId": request["requestId"], "outcome": "selected", "optionId": "allow"}
    assert (await turn)["result"]["assistant_message"] == SAY["say"]


async def test_a_background_run_asks_a_person_where_the_operator_says_so(sandbox: Sandbox) -> None:
    await sandbox.session(more={"background_permissions": "ask"})
    turn = sandbox.play_later({"ask": "Delete everything"}, SAY)
    plane = sandbox.control_plane
    await plane.until(lambda: any(entry["type"] == "permission_request" for entry in plane.entries))
    request = next(entry for entry in plane.entries if entry["type"] == "permission_request")
    await sandbox.command("permission_response", requestId=request["requestId"], cancelled=True, again=True)
    assert (await plane.until_method("_posthog/permission_resolved"))["outcome"] == "cancelled"
    assert "assistant_message" not in (await turn)["result"]


async def test_a_policy_that_is_none_is_refused(sandbox: Sandbox) -> None:
    answer = await sandbox.session(more={"background_permissions": "perhaps"})
    assert (answer.status_code, "background_permissions" in answer.text) == (400, True)


async def test_bypass_modes_do_not_ask_in_an_interactive_run(sandbox: Sandbox) -> None:
    await sandbox.session(mode="interactive")
    await sandbox.command("set_config_option", configId="mode", value="bypassPermissions")
    assert (await sandbox.play({"ask": "Delete everything"}, SAY))["result"]["assistant_message"] == SAY["say"]


async def test_an_unknown_wish_is_a_warning(sandbox: Sandbox) -> None:
    answer = await sandbox.session(model="gpt-9")
    assert answer.status_code == 200
    remark = await sandbox.control_plane.until_method("_posthog/console")
    assert remark == {"level": "warn", "message": "The agent has no model 'gpt-9'; it offers nothing of the kind."}


async def test_a_cancel_ends_the_turn_and_the_command_that_it_runs(sandbox: Sandbox) -> None:
    await sandbox.session()
    turn = sandbox.play_later({"run": "echo $$ > pid; exec sleep 60"}, SAY)
    pid = await _written(sandbox.workspace / "pid")
    assert (await sandbox.command("cancel")).json()["result"] == {"cancelled": True}
    assert (await turn)["result"] == {"stopReason": "cancelled"}
    await _gone(pid)


async def test_a_cancel_resolves_a_question_that_nobody_answered(sandbox: Sandbox) -> None:
    await sandbox.session(mode="interactive")
    turn = sandbox.play_later({"ask": "Delete everything"})
    plane = sandbox.control_plane
    await plane.until(lambda: any(entry["type"] == "permission_request" for entry in plane.entries))
    await sandbox.command("cancel")
    assert (await turn)["result"] == {"stopReason": "cancelled"}


async def test_close_ends_everything_that_the_agent_has_started(sandbox: Sandbox) -> None:
    await sandbox.session()
    await sandbox.play({"run": "setsid sh -c 'echo $$ > pid; exec sleep 60' > /dev/null 2>&1 & until [ -s pid ]; do sleep 0.01; done"})
    pid = await _written(sandbox.workspace / "pid")
    answer = await sandbox.command("close")
    assert answer.json()["result"] == {"closed": True, "flushed": True}
    await _gone(pid)
    assert (await sandbox.http.get("/health")).json()["hasSession"] is False
    assert (await sandbox.command("user_message", content="more")).status_code == 400
    assert (await sandbox.command("close")).json()["result"] == {"closed": True, "flushed": True}
    assert (await sandbox.session()).status_code == 409


async def test_close_during_a_turn_cancels_it_and_fails_no_run(sandbox: Sandbox) -> None:
    await sandbox.session()
    turn = sandbox.play_later({"sleep": 60})
    await sandbox.control_plane.until_method("session/prompt")
    assert (await sandbox.command("close")).json()["result"] == {"closed": True, "flushed": True}
    assert (await turn)["result"] == {"stopReason": "cancelled"}
    assert sandbox.control_plane.patches == [{"status": "in_progress"}]


async def test_sigterm_flushes_and_ends_with_zero(sandbox: Sandbox) -> None:
    await sandbox.session()
    await sandbox.play({"burst": 300})
    assert await sandbox.terminate() == (0, "")
    assert sandbox.control_plane.entries == sandbox.spooled()


async def test_secrets_reach_neither_spool_nor_control_plane(sandbox: Sandbox) -> None:
    await sandbox.session()
    tricky = {"say": f"The key is {SECRET}!"}
    await sandbox.command(
        "user_message", prefer="respond-async", message_id="m", content=json.dumps([{"run": "echo $ANTHROPIC_API_KEY"}, tricky])
    )
    await sandbox.control_plane.until_method("_posthog/turn_complete")
    await sandbox.command("close")
    everything = b"".join(path.read_bytes() for path in sandbox.spool.iterdir())
    pushed = json.dumps([*sandbox.control_plane.entries, *sandbox.control_plane.previews])
    for secret in (SECRET, RUN_TOKEN):
        assert secret.encode() not in everything
        assert secret not in pushed
    assert "The key is ***!" in pushed


async def _written(path: Path) -> int:
    async with asyncio.timeout(10):
        while True:
            number = _number_in(path)
            if number is not None:
                return number
            await asyncio.sleep(0.01)


def _number_in(path: Path) -> int | None:
    text = path.read_text() if path.exists() else ""
    return int(text) if text.endswith("\n") else None


async def _gone(pid: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            await asyncio.sleep(0.01)


async def test_a_projects_variables_come_first_and_every_one_is_a_secret(sandbox: Sandbox) -> None:
    words = "an ordinary looking value"
    variables = {
        "GREETING": words,
        "LINES": "first of the lines\nsecond of the lines",
        "ANTHROPIC_API_KEY": "not the operator's",
        "MODE": "x",
    }
    await sandbox.session(variables=variables)
    own = {"run": f'test "$ANTHROPIC_API_KEY" = {SECRET} && test "$GREETING" = "{words}" && echo right $MODE'}
    await sandbox.play(own, {"run": 'echo "$GREETING"; echo "$LINES"; echo done'})
    await sandbox.control_plane.until_method("_posthog/turn_complete")
    journal = json.dumps(sandbox.control_plane.entries)
    assert "right x" in journal
    assert "done" in journal
    spooled = (sandbox.spool / "entries").read_text() + (sandbox.spool / "inbox").read_text() if (sandbox.spool / "inbox").exists() else ""
    for secret in (words, "first of the lines", "second of the lines"):
        assert secret not in journal
        assert secret not in (sandbox.spool / "entries").read_text() + spooled


@pytest.mark.parametrize("variables", [[], {"A": 1}, {"A": "\0"}, None])
async def test_variables_that_are_none_are_refused(sandbox: Sandbox, variables: object) -> None:
    answer = await sandbox.session(variables=variables)
    assert (answer.status_code, answer.json()["error"]) == (400, "agent.variables must be an object of strings.")
