"""Files on their way from a person to the agent, and what is left of them whatever is killed."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.end_to_end.conftest import git
from tests.end_to_end.house import House, Run


def _upload(http: httpx.Client, base: str, name: str, content: bytes) -> dict[str, Any]:
    """Send a file by form and finalize it; its manifest entry."""
    item = {"name": name, "type": "user_attachment", "size": len(content), "content_type": "text/plain"}
    (prepared,) = http.post(f"{base}prepare_upload/", json={"artifacts": [item]}).raise_for_status().json()["artifacts"]
    form = prepared["presigned_post"]
    httpx.post(form["url"], data=form["fields"], files={"file": content}).raise_for_status()
    answer = http.post(f"{base}finalize_upload/", json={"artifacts": [{**item, **{key: prepared[key] for key in ("id", "storage_path")}}]})
    return dict(answer.raise_for_status().json()["artifacts"][0])


def test_an_agent_reads_what_was_attached_to_its_first_message_and_commits_nothing_of_it(house: House, repository: Path) -> None:
    script = json.dumps({"steps": [{"run": "cat .posthog/attachments/*/*/notes.txt > copy.txt"}]})
    with house.client() as http:
        draft = {"title": "Read it", "description": script, "repository": house.register(repository)}
        task = http.post("tasks/", json=draft).raise_for_status().json()
        entry = _upload(http, f"tasks/{task['id']}/staged_artifacts/", "notes.txt", b"What to do.\n")
        wishes = {"runtime_adapter": "scripted", "model": "default", "pending_user_artifact_ids": [entry["id"]]}
        answer = http.post(f"tasks/{task['id']}/run/", json=wishes).raise_for_status().json()
        ended = Run(house, task["id"], answer["latest_run"]["id"], task["slug"]).ended()
    assert (ended["status"], ended["artifacts"][0]) == ("completed", entry)
    assert "pending_user_artifact_ids" not in ended["state"]
    assert git(repository, "show", f"{ended['branch']}:copy.txt") == "What to do."
    assert git(repository, "ls-tree", "-r", "--name-only", ended["branch"]).split() == ["README.md", "copy.txt"]


def test_what_was_uploaded_survives_a_kill_and_what_was_cut_short_leaves_nothing(make_house: Callable[..., House]) -> None:
    house = make_house()
    process = house.up()
    with house.client() as http:
        task = http.post("tasks/", json={"title": "Keep it"}).raise_for_status().json()
        run = http.post(f"tasks/{task['id']}/runs/", json={}).raise_for_status().json()
        base = f"tasks/{task['id']}/runs/{run['id']}/artifacts/"
        kept = _upload(http, base, "kept.txt", b"kept")
        item = {"name": "cut.txt", "type": "output", "size": 5_000_000}
        (prepared,) = http.post(f"{base}prepare_upload/", json={"artifacts": [item]}).json()["artifacts"]
    with _half_an_upload(prepared["presigned_post"], house.data_dir):
        process.kill()
    assert len(list((house.data_dir / "objects" / ".uploads").iterdir())) == 1
    house.up()
    objects = house.data_dir / "objects"
    assert sorted(path.name[-8:] for path in objects.rglob("*") if path.is_file()) == ["kept.txt", "kept.txt"]  # the file and its type
    with house.client() as http:
        assert http.post(f"{base}download/", json={"storage_path": kept["storage_path"]}).content == b"kept"
        never = {**item, "id": prepared["id"], "storage_path": prepared["storage_path"]}
        assert http.post(f"{base}finalize_upload/", json={"artifacts": [never]}).status_code == 400


def _half_an_upload(form: dict[str, Any], data_dir: Path) -> socket.socket:
    """A connection on which the first half of a form has been sent, once the server writes it down."""
    address = urlsplit(form["url"])
    fields = "".join(f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in form["fields"].items())
    head = f"POST {address.path} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 5000000\r\n\r\n"
    connection = socket.create_connection((address.hostname or "", address.port or 80))
    connection.sendall((head + fields + '--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n').encode() + b"x" * 2_000_000)
    while not any(path.stat().st_size for path in (data_dir / "objects" / ".uploads").iterdir()):
        pass
    return connection
