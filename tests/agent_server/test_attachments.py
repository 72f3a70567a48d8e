"""Files that come with a message lie beside the agent's work before it hears of them."""

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.agent_server.sandbox import RUN_TOKEN, Sandbox

pytestmark = pytest.mark.whole

ID = "0123456789abcdef0123456789abcdef"


def artifact(name: str = "photo of ünits.png", **fields: Any) -> dict[str, Any]:
    entry = {"id": ID, "name": name, "type": "user_attachment", "size": 3, "content_type": "image/png"}
    return {**entry, "storage_path": f"tasks/{name}", **fields}


async def say(sandbox: Sandbox, *artifacts: dict[str, Any], **params: Any) -> dict[str, Any]:
    """A message with artifacts, to the end of its turn."""
    said = {"content": json.dumps([{"say": "Seen."}])} | params
    answer = await sandbox.command("user_message", artifacts=list(artifacts), **said)
    document: dict[str, Any] = answer.json()
    return document


def prompts(sandbox: Sandbox) -> list[list[dict[str, Any]]]:
    """The blocks of every prompt that the agent got."""
    return [params["prompt"] for params in sandbox.control_plane.of_method("session/prompt")]


def git(sandbox: Sandbox, *arguments: str) -> str:
    """What git says in the agent's workspace."""
    return subprocess.run(["git", "-C", str(sandbox.workspace), *arguments], check=True, capture_output=True, text=True).stdout


def place(sandbox: Sandbox, name: str) -> Path:
    return sandbox.workspace / ".posthog" / "attachments" / sandbox.run_id / ID / name


async def test_an_attachment_is_a_file_that_the_prompt_links_to(sandbox: Sandbox) -> None:
    content = os.urandom(20_000_000)  # larger than any answer that is held
    sandbox.control_plane.files["tasks/photo of ünits.png"] = content
    await sandbox.session()
    assert (await say(sandbox, artifact()))["result"]["stopReason"] == "end_turn"
    (text, link) = (await sandbox.control_plane.until_method("session/prompt"))["prompt"]
    path = place(sandbox, "photo of ünits.png")
    assert text["type"] == "text"
    assert {key: link[key] for key in ("type", "name", "mimeType", "size")} == {
        "type": "resource_link",
        "name": "photo of ünits.png",
        "mimeType": "image/png",
        "size": len(content),
    }
    assert Path(unquote(urlsplit(link["uri"]).path)) == path
    assert path.read_bytes() == content
    assert sandbox.control_plane.authorizations == {f"Bearer {RUN_TOKEN}"}


async def test_git_does_not_see_attachments(sandbox: Sandbox) -> None:
    git(sandbox, "init", "--quiet")
    exclude = sandbox.workspace / ".git" / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("*.o")
    sandbox.control_plane.files["tasks/a.txt"] = b"a"
    await sandbox.session()
    for _ in range(2):
        await say(sandbox, artifact("a.txt"))
    assert place(sandbox, "a.txt").exists()
    assert exclude.read_text() == "*.o\n/.posthog/attachments/\n"
    assert git(sandbox, "status", "--porcelain") == ""


async def test_a_missing_attachment_is_left_out_with_a_warning(sandbox: Sandbox) -> None:
    sandbox.control_plane.files["tasks/here.txt"] = b"here"
    await sandbox.session()
    await say(sandbox, artifact("gone.txt"), artifact("here.txt"))
    await sandbox.control_plane.until_method("session/prompt")
    assert [block["type"] for block in prompts(sandbox)[0]] == ["text", "resource_link"]
    warning = await sandbox.control_plane.until_method("_posthog/console")
    assert warning["level"] == "warn"
    assert "gone.txt" in warning["message"]
    assert "404" in warning["message"]


async def test_a_message_of_files_alone_is_one_and_says_so_where_none_of_them_is_there(sandbox: Sandbox) -> None:
    sandbox.control_plane.files["tasks/here.txt"] = b"here"
    await sandbox.session()
    await say(sandbox, artifact("here.txt"), content=None)
    await say(sandbox, artifact("gone.txt"), content=None)
    await sandbox.control_plane.until_method("session/prompt", 2)
    assert [block["type"] for block in prompts(sandbox)[0]] == ["resource_link"]
    assert "gone.txt" in prompts(sandbox)[1][0]["text"]


@pytest.mark.parametrize("status", [503, 400])
async def test_a_control_plane_that_is_away_or_cannot_read_its_store_is_waited_for(sandbox: Sandbox, status: int) -> None:
    sandbox.control_plane.files["tasks/a.txt"] = b"a"
    await sandbox.session()
    await sandbox.control_plane.until_method("_posthog/run_started")
    await sandbox.control_plane.go()
    turn = asyncio.create_task(say(sandbox, artifact("a.txt")))
    await _is_fetching(sandbox)
    sandbox.control_plane.status = status
    await sandbox.control_plane.come()
    seen = sandbox.control_plane.requests
    await sandbox.control_plane.until(lambda: sandbox.control_plane.requests >= seen + 2)
    assert not turn.done()
    sandbox.control_plane.status = 200
    assert (await turn)["result"]["stopReason"] == "end_turn"
    assert place(sandbox, "a.txt").read_bytes() == b"a"


async def test_a_turn_that_waits_for_its_files_can_be_cancelled(sandbox: Sandbox) -> None:
    await sandbox.session()
    await sandbox.control_plane.until_method("_posthog/run_started")
    await sandbox.control_plane.go()
    turn = asyncio.create_task(say(sandbox, artifact("a.txt")))
    await _is_fetching(sandbox)
    assert (await sandbox.command("cancel")).json()["result"] == {"cancelled": True}
    assert (await turn)["result"]["stopReason"] == "cancelled"
    await sandbox.control_plane.come()
    sandbox.control_plane.files["tasks/b.txt"] = b"b"
    assert (await say(sandbox, artifact("b.txt")))["result"]["stopReason"] == "end_turn"


async def test_files_of_a_message_are_not_forgotten_by_a_restart(sandbox: Sandbox) -> None:
    sandbox.control_plane.files["tasks/a.txt"] = b"a"
    await sandbox.session()
    await sandbox.command("user_message", prefer="respond-async", message_id="busy", content=json.dumps([{"sleep": 60}]))
    await sandbox.command(
        "user_message", prefer="respond-async", message_id="waits", content=json.dumps([{"say": "Here."}]), artifacts=[artifact("a.txt")]
    )
    await sandbox.control_plane.until_method("session/prompt")
    await sandbox.kill()
    await sandbox.start()
    await sandbox.session()
    complete = await sandbox.control_plane.until_method("_posthog/turn_complete")
    assert complete["messageId"] == "waits"
    assert place(sandbox, "a.txt").read_bytes() == b"a"


async def test_no_name_and_no_id_leads_out_of_the_folder(sandbox: Sandbox) -> None:
    sandbox.control_plane.files["p"] = b"x"
    await sandbox.session()
    await say(sandbox, artifact("../../../../evil", id="../../..", storage_path="p"), artifact("字" * 255, storage_path="p"))
    folder = sandbox.workspace / ".posthog" / "attachments" / sandbox.run_id
    files = [path for path in sandbox.workspace.rglob("*") if path.is_file()]
    assert sorted(path.relative_to(folder).as_posix() for path in files) == sorted(["artifact/evil", f"{ID}/{'字' * 66}"])


async def test_artifacts_that_are_no_manifest_entries_are_refused(sandbox: Sandbox) -> None:
    await sandbox.session()
    for wrong in ("x", ["x"], [{"id": ID}], [{**artifact(), "name": 1}]):
        answer = await sandbox.command("user_message", content="hello", artifacts=wrong)
        assert answer.json()["error"]["code"] == -32602


async def _is_fetching(sandbox: Sandbox) -> None:
    """Return once the agent server has made the place for a file."""
    async with asyncio.timeout(20):
        while not (sandbox.workspace / ".posthog").exists():  # noqa: ASYNC110 - another process makes it, and tells nobody
            await asyncio.sleep(0.01)
