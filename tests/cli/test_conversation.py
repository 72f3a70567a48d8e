import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.test_local_repository import git_in
from tests.client.fake_server import FakeRun, FakeServer, prompt, said, turn_complete


class Terminal:
    """The person's end of a terminal in which a program runs."""

    def __init__(self, descriptor: int, process: "subprocess.Popen[bytes]") -> None:
        self._descriptor, self.process = descriptor, process
        self.seen = b""

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def read_until(self, wanted: str, seconds: float = 20) -> str:
        deadline = time.monotonic() + seconds
        while wanted.encode() not in self.seen:
            ready, _, _ = select.select([self._descriptor], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"{wanted!r} never came; there was:\n{self.seen.decode(errors='replace')}"
            try:
                self.seen += os.read(self._descriptor, 65536)
            except OSError as error:  # the program has closed its end
                raise AssertionError(f"{wanted!r} never came; there was:\n{self.seen.decode(errors='replace')}") from error
        shown, _, self.seen = self.seen.partition(wanted.encode())
        return shown.decode(errors="replace") + wanted


@contextmanager
def terminal(*arguments: str, environment: dict[str, str]) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "hedgerow", *arguments]
    process = subprocess.Popen(
        command, env=environment | {"TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        yield Terminal(ours, process)
    finally:
        process.kill()
        process.wait(10)
        os.close(ours)


def test_a_person_answers_goes_on_talking_and_closes_the_run(server: FakeServer, environment: dict[str, str]) -> None:
    run = server.next_run = FakeRun(fields={"state": {"mode": "interactive"}})
    options = [{"optionId": "ok", "name": "Allow", "kind": "allow_once"}, {"optionId": "no", "name": "Reject", "kind": "reject_once"}]
    asked = {"type": "permission_request", "requestId": "q1", "toolCall": {"toolCallId": "1", "title": "Write a.py"}, "options": options}
    server.happen(run, prompt("Go"), asked)
    with terminal("run", "Go", "--interactive", environment=environment) as person:
        person.read_until("Answer (1-2")
        person.type("2\n")
        assert server.wait_for("POST", "/command/")["params"] == {"requestId": "q1", "optionId": "no"}
        answer = {
            "type": "notification",
            "notification": {"jsonrpc": "2.0", "id": 1, "result": {"outcome": {"outcome": "selected", "optionId": "no"}}},
        }
        server.happen(run, answer, said("Then not."), turn_complete())
        person.read_until("Then not.")
        person.read_until("Your next message")
        person.type("And now?\n")
        with server.changed:
            assert server.changed.wait_for(lambda: any(body and body.get("method") == "user_message" for _, _, body in server.requests), 10)
        server.happen(run, prompt("And now?", 3), said("All done."), turn_complete())
        assert person.read_until("Your next message").count("And now?") == 1  # as it was typed, and not again from the journal
        person.type("\x04")
        assert server.wait_for("PATCH", f"/{run.id}/") == {"status": "completed"}
        person.read_until("ended by hand")
        assert person.process.wait(10) == 0


def test_ctrl_c_where_a_message_is_awaited_leaves_the_run_waiting(server: FakeServer, environment: dict[str, str]) -> None:
    run = server.next_run = FakeRun(fields={"state": {"mode": "interactive"}})
    server.happen(run, prompt("Go"), said("Done."), turn_complete())
    with terminal("run", "Go", "-i", environment=environment) as person:
        person.read_until("Your next message")
        person.read_until("» ")
        os.kill(person.process.pid, 2)
        person.read_until("Detached")
        assert person.process.wait(10) == 130
    assert not run.terminal


def test_uncommitted_changes_are_offered_and_taken_on_a_yes(server: FakeServer, environment: dict[str, str], tmp_path: Path) -> None:
    git = git_in(tmp_path)
    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "-m", "first")
    (tmp_path / "new.txt").write_text("new\n")
    with terminal("run", "Go", "--repo", str(tmp_path), "--detach", environment=environment) as person:
        person.read_until("[y/N] ")
        person.type("y\n")
        person.read_until("is queued as run")
        assert person.process.wait(10) == 0
    assert git("show", f"{server.wait_for('POST', '/run/')['branch']}:new.txt") == "new\n"
