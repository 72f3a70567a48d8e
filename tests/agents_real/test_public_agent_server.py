"""The public agent server of the API's origin, unchanged, works runs of a hedgerow that does not know it."""

import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.agents_real.conftest import agents_folder
from tests.agents_real.model_server import ModelServer
from tests.agents_real.public_agent import MODELS, AgentServer, PublicAgent, installed
from tests.end_to_end.conftest import make_repository
from tests.end_to_end.house import House, methods
from tests.leftovers import end_processes_of

pytestmark = [pytest.mark.agents, pytest.mark.timeout(1200)]  # seconds to work, minutes to install where it is not yet

Start = Callable[..., AgentServer]
SCHEMA = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}


@pytest.fixture(scope="module")
def agent() -> PublicAgent:
    """The public package, installed once."""
    return installed(agents_folder())


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    """The scripted model."""
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's account can enter, whose processes end with it."""
    with tempfile.TemporaryDirectory(prefix="hedgerow-tests-") as name:
        Path(name).chmod(0o755)
        yield Path(name)
        end_processes_of(Path(name))


@pytest.fixture(scope="module")
def house(agent: PublicAgent, folder: Path) -> Iterator[House]:
    """A hedgerow whose operator lets commands go to agent servers of others on this machine."""
    house = House(folder / "house", {"HEDGEROW_SANDBOX_URL_ALLOWLIST": "http://127.0.0.1:*"})
    house.data_dir.mkdir()
    house.up()
    yield house
    house.stop()


@pytest.fixture(scope="module")
def repository(folder: Path) -> Path:
    """What the agents work in."""
    return make_repository(folder / "project")


@pytest.fixture(scope="module")
def start(agent: PublicAgent, house: House, model: ModelServer, repository: Path, folder: Path) -> Start:
    """Makes an agent server for a run, with a home of its own."""

    def make(run: dict[str, Any]) -> AgentServer:
        return AgentServer(agent, house, run, folder / run["id"], repository, model.url)

    return make


@pytest.fixture(scope="module")
def worked(house: House, start: Start) -> Iterator[AgentServer]:
    """An agent server whose Claude Code has done its first turn: a message that waited for it, with a file."""
    run = _run(house, "claude", "The message comes with the run.")
    with house.client() as http:
        path = f"tasks/{run['task']}/runs/{run['id']}/"
        file = {"name": "note.txt", "type": "user_attachment", "content": "Remember this.\n"}
        note = http.post(f"{path}artifacts/", json={"artifacts": [file]}).raise_for_status().json()["artifacts"][0]
        script = "model: run cat .posthog/attachments/*/*/note.txt > seen.txt\nmodel: say I have read it."
        waiting = {"pending_user_message": script, "pending_user_artifact_ids": [note["id"]]}
        http.patch(path, json={"state": waiting}).raise_for_status()
    with start(run) as server:
        server.ended_turns(1)
        yield server


def test_claude_code_in_it_works_the_message_and_the_file_that_wait_for_it(worked: AgentServer, house: House, repository: Path) -> None:
    assert (repository / "seen.txt").read_text() == "Remember this.\n"
    with house.client() as http:
        worked.wait_until(lambda: http.get(worked.path).json()["output"] == {"head_branch": "main"})
        run = http.get(worked.path).json()
    assert (run["status"], run["branch"]) == ("in_progress", "main")
    assert not [key for key in run["state"] if key.startswith("pending_")]
    entries = worked.ended_turns(1)
    assert methods(entries).index("_posthog/run_started") < methods(entries).index("session/prompt")
    assert "I have read it." in str(entries)
    without_key = httpx.get(run["log_url"]).raise_for_status()
    assert [json.loads(line) for line in without_key.text.splitlines()][: len(entries)] == entries
    assert "Failed request" not in worked.said()


def test_codex_in_it_works_the_description_of_the_task(house: House, start: Start, repository: Path) -> None:
    run = _run(house, "codex", "model: run echo Hello. > codex.txt\nmodel: say It is written.")
    with start(run) as server, house.client() as http:
        assert "It is written." in str(server.ended_turns(1))
        server.wait_until(lambda: http.get(server.path).json()["output"] == {"head_branch": "main"})
        assert http.get(server.path).json()["status"] == "in_progress"
    assert (repository / "codex.txt").read_text() == "Hello.\n"
    assert "Failed request" not in server.said()


def test_commands_and_connection_tokens_reach_it(worked: AgentServer, house: House, model: ModelServer, repository: Path) -> None:
    with house.client() as http:
        token = http.get(f"{worked.path}connection_token/").raise_for_status().json()["token"]
        http.patch(worked.path, json={"state": {"sandbox_url": worked.url}}).raise_for_status()
    assert httpx.post(f"{worked.url}/command", json={}).status_code == 401
    worked.listen(token)
    options = _command(worked, "set_config_option", configId="mode", value="default")["result"]["configOptions"]
    assert [option["currentValue"] for option in options if option["id"] == "mode"] == ["default"]

    with _Telling(worked, token, "model: run touch allowed.txt\nmodel: say Allowed.") as telling:
        worked.wait_until(lambda: any(event["type"] == "permission_request" for event in worked.events))
        request = next(event for event in worked.events if event["type"] == "permission_request")
        once = next(option["optionId"] for option in request["options"] if option["kind"] == "allow_once")
        answer = _command(worked, "permission_response", requestId=request["requestId"], optionId=once)
        assert answer["result"] == {"resolved": True}
    assert telling.answer["result"]["stopReason"] == "end_turn"
    assert (repository / "allowed.txt").exists()
    again = _command(worked, "permission_response", requestId=request["requestId"], optionId=once)
    assert again["error"]["code"] == -32000

    with _Telling(worked, token, "model: wait 15\nmodel: say Too late.") as telling:
        worked.wait_until(lambda: any("model: wait 15" in json.dumps(request.body) for request in model.requests))
        assert _command(worked, "cancel")["result"] == {"cancelled": True}
    assert telling.answer["result"]["stopReason"] == "cancelled"

    assert _command(worked, "close")["result"] == {"closed": True}
    with house.client() as http:
        closed = http.post(f"{worked.path}command/", json={"jsonrpc": "2.0", "id": 1, "method": "cancel"})
    assert (closed.status_code, "returned 400" in closed.json()["error"]) == (502, True)


def test_another_run_of_it_takes_up_the_conversation_and_delivers_what_the_schema_asks_for(
    worked: AgentServer, house: House, model: ModelServer, start: Start
) -> None:
    run = _run(house, "claude", task_id=worked.run["task"])
    seen = len(model.requests)
    with house.client() as http:
        http.patch(f"tasks/{run['task']}/", json={"json_schema": SCHEMA}).raise_for_status()
        state = {
            "resume_from_run_id": worked.run["id"],
            "pending_user_message": 'model: call StructuredOutput {"answer": 42}\nmodel: say Delivered.',
        }
        http.patch(f"tasks/{run['task']}/runs/{run['id']}/", json={"state": state}).raise_for_status()
        with start(run) as server:
            server.ended_turns(1)
            server.wait_until(lambda: "head_branch" in (http.get(server.path).json()["output"] or {}))
            ended = http.get(server.path).json()
    assert (ended["status"], ended["output"]) == ("in_progress", {"answer": 42, "head_branch": "main"})
    assert "pending_user_message" not in ended["state"]
    asked = [json.dumps(request.body["messages"]) for request in model.requests[seen:] if request.path.endswith("/messages")]
    assert any("I have read it." in text and "StructuredOutput" in text for text in asked)
    assert "Failed request" not in server.said()


def test_its_client_class_and_its_agent_for_a_persons_own_machine_use_the_api(agent: PublicAgent, house: House) -> None:
    said = agent.use_api(house, _run(house, "claude", environment="local"))
    assert said["files"] == {
        "sent": True,
        "direct": True,
        "checkpoint": ["one.pack", "one.index"],
        "checkpointText": True,
        "decoded": True,
        "missing": None,
    }
    pull_requests = [f"https://github.com/acme/widgets/pull/{number}" for number in (7, 8)]
    assert said["machine"].pop("output")["pr_urls"] == pull_requests
    assert said["machine"].pop("user")
    assert said["machine"] == {"branch": "feature", "status": "completed", "usage": {"turns": 1}, "log": True}


class _Telling:
    """A message on its way to the agent server, whose answer is there when the block ends."""

    def __init__(self, server: AgentServer, token: str, content: str) -> None:
        self.answer: dict[str, Any] = {}
        self._thread = threading.Thread(target=lambda: self.answer.update(server.tell(token, content)))

    def __enter__(self) -> "_Telling":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(timeout=60)


def _run(house: House, adapter: str, description: str = "", *, task_id: str | None = None, environment: str = "cloud") -> dict[str, Any]:
    """A run that is made and not started: its client is the one who drives it."""
    with house.client() as http:
        if task_id is None:
            task_id = http.post("tasks/", json={"title": "A task", "description": description}).raise_for_status().json()["id"]
        wishes = {"environment": environment, "mode": "interactive", "runtime_adapter": adapter, "model": MODELS[adapter]}
        run: dict[str, Any] = http.post(f"tasks/{task_id}/runs/", json=wishes).raise_for_status().json()
    return run


def _command(server: AgentServer, method: str, **params: Any) -> dict[str, Any]:
    """What our command endpoint answers, having asked the agent server."""
    with server.house.client() as http:
        message = {"jsonrpc": "2.0", "id": f"posthog-code-{method}", "method": method, "params": params}
        answer: dict[str, Any] = http.post(f"{server.path}command/", json=message).raise_for_status().json()
    assert answer["id"] == message["id"]
    return answer
