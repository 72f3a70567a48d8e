import io
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import pytest
from rich.console import Console

from hedgerow.cli.follow import follow_run
from hedgerow.client import Client, ClientError
from tests.client.fake_server import FakeRun, FakeServer, prompt, said, step, turn_complete, update

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COMMIT = {
    "head_branch": "hedgerow/FAK-0-1",
    "commit": "a" * 40,
    "diff_stat": {"files_changed": 1, "insertions": 1, "deletions": 0},
    "pushed": True,
}


def play(server: FakeServer, run: FakeRun) -> None:
    server.happen(
        run,
        step("sandbox", "in_progress", "Start the sandbox"),
        step("sandbox", "completed", "Start the sandbox", detail="bubblewrap", duration_seconds=0.12),
        prompt("Say hello"),
        said("On ", "agent_message_chunk"),
        said("it.", "agent_message_chunk"),
        said("On it."),
        update("tool_call", toolCallId="1", title="pytest -q", kind="execute", status="in_progress"),
        update("tool_call_update", toolCallId="1", status="failed", rawOutput={"exit_code": 1}),
        said("Done.\x1b[2J\x1b]0;evil\x07"),
        turn_complete(),
    )
    server.end(run, output=COMMIT, state={"mode": "background", "end_reason": "finished"})


def show(client: Client, run: FakeRun, **options: Any) -> tuple[int, str]:
    written = io.StringIO()
    code = follow_run(client, run, Console(file=written, **({"width": 80} | options)))
    return code, written.getvalue()


def test_a_file_gets_plain_lines_without_any_control_code(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task(title="Greet"))
    play(server, run)
    code, text = show(client, run)
    assert code == 0
    assert not [letter for letter in text if ord(letter) < 32 and letter != "\n"]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    assert lines[0] == "FAK-0  Greet"
    assert lines[2:] == [
        "✓ Start the sandbox               0.1 s   bubblewrap",
        "» Say hello",
        "On it.",
        "✗ run     pytest -q   exit 1",
        "Done.",
        "✓ Completed after 12 s",
        "Branch   hedgerow/FAK-0-1",
        "Commit   aaaaaaaaaaaa",
        "Changes  1 file, +1 -0",
    ]


def test_a_terminal_sees_each_thing_once_although_the_stream_is_cut(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task(), FakeRun(cuts=[3, 2]))
    play(server, run)
    code, text = show(client, run, force_terminal=True, height=40, color_system="truecolor")
    assert code == 0
    assert "\x1b[" in text
    assert "evil" not in text
    assert "\x1b[2J" not in text
    settled = ESCAPE.sub("", text)
    for line in ("Start the sandbox               0.1 s", "Done.", "Completed after 12 s"):
        assert settled.count(line) == 1


def test_without_colours_a_terminal_gets_none(server: FakeServer, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    run = server.add_run(server.add_task())
    play(server, run)
    _, text = show(client, run, force_terminal=True, height=40)
    assert not re.search(r"\x1b\[[0-9;]*(3|4|9)[0-7]m", text)


def test_the_width_of_wide_characters_is_kept_to(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task())
    server.happen(run, said("漢字" * 60), update("tool_call", toolCallId="1", title="工具" * 60, kind="read", status="completed"))
    server.end(run)
    _, text = show(client, run, force_terminal=True, height=40, width=60)
    from rich.cells import cell_len

    assert max(cell_len(ESCAPE.sub("", line)) for line in re.split(r"[\r\n]", text)) <= 60


def test_a_failed_run_says_why_and_ends_with_one(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task())
    server.end(run, "failed", error_message="There is no branch nope.", state={"end_reason": "start_failed"})
    code, text = show(client, run)
    assert code == 1
    assert "There is no branch nope." in text


def test_a_question_is_shown_with_what_to_type(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task())
    options = [{"optionId": "ok", "name": "Allow", "kind": "allow_once"}]
    server.happen(
        run, {"type": "permission_request", "requestId": "q", "toolCall": {"toolCallId": "1", "title": "Write a.py"}, "options": options}
    )
    server.end(run)
    _, text = show(client, run)
    assert "asks for permission: Write a.py" in text
    assert f"answer {run.id[-8:]} ok" in text


def test_an_output_that_knows_only_ascii_gets_plain_marks(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task())
    play(server, run)
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="ascii", errors="replace", write_through=True), width=80)
    follow_run(client, run, console)
    assert b"+ Start the sandbox" in raw.getvalue()


def test_following_works_outside_of_the_main_thread(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task())
    play(server, run)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(show(client, run, force_terminal=True)[0]))
    thread.start()
    thread.join(20)
    assert codes == [0]


def test_what_the_server_refuses_is_raised(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task())
    server.refusals["/stream/"] = (403, {"detail": "You may not read this run."})
    with pytest.raises(ClientError, match="may not read"):
        show(client, run)


@contextmanager
def hedgerow(*arguments: str, environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "hedgerow", *arguments],
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def read_until(stream: IO[str] | None, wanted: str) -> str:
    assert stream is not None
    seen = ""
    for line in stream:
        seen += line
        if wanted in line:
            return seen
    raise AssertionError(f"{wanted!r} never came; there was:\n{seen}")


def test_ctrl_c_asks_the_agent_to_cancel_and_the_run_is_followed_to_its_end(server: FakeServer, environment: dict[str, str]) -> None:
    run = server.next_run = FakeRun()
    server.happen(run, prompt("Go"), said("Working on it."))
    with hedgerow("run", "Go", environment=environment) as process:
        read_until(process.stdout, "Working on it.")
        process.send_signal(signal.SIGINT)
        assert server.wait_for("POST", "/command/")["method"] == "cancel"
        read_until(process.stdout, "told to stop")
        server.happen(run, turn_complete("cancelled"))
        server.end(run, "cancelled", state={"end_reason": "cancelled"})
        read_until(process.stdout, "Cancelled after")
        assert process.wait(10) == 3


def test_ctrl_c_cancels_a_run_that_has_no_agent_yet(server: FakeServer, environment: dict[str, str]) -> None:
    run = server.next_run = FakeRun()
    server.agent_answers = False
    server.happen(run, step("sandbox", "completed", "Start the sandbox"))
    with hedgerow("run", "Go", environment=environment) as process:
        read_until(process.stdout, "Start the sandbox")
        process.send_signal(signal.SIGINT)
        read_until(process.stdout, "Cancelled after")
        assert process.wait(10) == 3
    assert server.wait_for("PATCH", f"/{run.id}/") == {"status": "cancelled"}


def test_a_second_ctrl_c_leaves_the_run_and_says_how_to_come_back(server: FakeServer, environment: dict[str, str]) -> None:
    run = server.next_run = FakeRun()
    server.happen(run, said("Working on it."))
    with hedgerow("run", "Go", environment=environment) as process:
        read_until(process.stdout, "Working on it.")
        process.send_signal(signal.SIGINT)
        read_until(process.stdout, "told to stop")
        process.send_signal(signal.SIGINT)
        assert f"-m hedgerow logs {run.id[-8:]} -f" in read_until(process.stdout, "follow it")
        assert process.wait(10) == 130
    assert not run.terminal
