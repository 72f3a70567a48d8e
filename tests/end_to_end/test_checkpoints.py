"""A run's files go from the cloud to a client and back, in the very calls that desktop clients make."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.end_to_end.conftest import git
from tests.end_to_end.house import House, Run, progress

WORK: list[dict[str, Any]] = [
    {"run": "git -c user.name=A -c user.email=a@b commit -q --allow-empty -m Mine"},
    {"write": {"path": "greeting.txt", "content": "Hello.\n"}},
    {"run": "printf 'staged\\n' >staged.txt && git add staged.txt"},
]


def told(run: Run) -> dict[str, Any]:
    """The first checkpoint that the run's stream tells of."""
    params: dict[str, Any] = run.await_event("_posthog/git_checkpoint")["notification"]["params"]
    return params


def fetched(run: Run, path: str, target: Path) -> Path:
    """An artifact, decoded as clients do."""
    with run.house.client() as http:
        text = http.post(f"{run.path}artifacts/download/", json={"storage_path": path}).raise_for_status().content
    target.write_bytes(base64.b64decode(text, validate=True))
    return target


def apply(clone: Path, checkpoint: dict[str, Any], pack: Path, index: Path) -> None:
    """Put a checkpoint into a clone, as clients do."""
    with pack.open("rb") as source:
        subprocess.run(["git", "-C", str(clone), "unpack-objects", "-q", "-r"], stdin=source, check=True)
    git(clone, "checkout", "-q", "-b", checkpoint["branch"], checkpoint["head"])
    git(clone, "read-tree", "--reset", "-u", checkpoint["worktreeTree"])
    shutil.copyfile(index, clone / ".git" / "index")


def capture(clone: Path, folder: Path) -> tuple[dict[str, Any], Path, Path]:
    """A checkpoint of a clone as clients take it: params without paths, pack, and index."""
    head, index_tree = git(clone, "rev-parse", "HEAD"), git(clone, "write-tree")
    index = Path(shutil.copyfile(clone / ".git" / "index", folder / "client.index"))
    git(clone, "add", "-A")
    worktree_tree = git(clone, "write-tree")
    shutil.copyfile(index, clone / ".git" / "index")
    names = f"{head}\n{index_tree}\n{worktree_tree}\n^{git(clone, 'rev-parse', 'origin/main')}\n"
    command = ["git", "-C", str(clone), "pack-objects", "-q", "--revs", "--stdout"]
    (folder / "client.pack").write_bytes(subprocess.run(command, input=names.encode(), check=True, capture_output=True).stdout)
    branch = git(clone, "branch", "--show-current")
    params: dict[str, Any] = {
        "checkpointId": "client-1",
        "commit": head,
        "checkpointRef": "refs/posthog-code-checkpoint/client-1",
        "head": head,
    }
    params |= {"branch": branch, "indexTree": index_tree, "worktreeTree": worktree_tree, "device": {"type": "local", "name": "desk"}}
    return params, folder / "client.pack", index


def test_files_go_to_a_client_and_come_back(house: House, repository: Path, tmp_path: Path) -> None:
    run = house.run(WORK, repository=house.register(repository), mode="interactive")
    checkpoint = told(run)
    run.patch(environment="local")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repository), str(clone))
    pack = fetched(run, checkpoint["artifactPath"], tmp_path / "pack")
    apply(clone, checkpoint, pack, fetched(run, checkpoint["indexArtifactPath"], tmp_path / "index"))
    assert git(clone, "log", "-1", "--format=%s") == "Mine"
    assert git(clone, "status", "--porcelain").splitlines() == ["A  staged.txt", "?? greeting.txt"]
    assert house.leaves_nothing()

    (clone / "greeting.txt").write_text("Hello again.\n")
    (clone / "local.txt").write_text("From the desk.\n")
    params, pack, index = capture(clone, tmp_path)
    files = [{"name": f"handoff/client-1.{end}", "type": "artifact"} for end in ("pack", "index")]
    for file, path in zip(files, (pack, index), strict=True):
        file |= {"content": base64.b64encode(path.read_bytes()).decode(), "content_type": "application/octet-stream"}
    with house.client() as http:
        manifest = http.post(f"{run.path}artifacts/", json={"artifacts": files}).raise_for_status().json()["artifacts"]
        params |= {"artifactPath": manifest[-2]["storage_path"], "indexArtifactPath": manifest[-1]["storage_path"]}
        entry = {"type": "notification", "notification": {"jsonrpc": "2.0", "method": "_posthog/git_checkpoint", "params": params}}
        http.post(f"{run.path}append_log/", json={"entries": [entry]}).raise_for_status()
        http.post(f"{run.path}resume_in_cloud/").raise_for_status()
    run.await_event("_posthog/turn_complete")
    content = json.dumps({"steps": [{"run": "git status --porcelain"}]})
    assert run.command("user_message", content=content).status_code == 200
    ended = run.ended()
    assert ("restore", "completed") in progress(run.logs())
    branch = ended["output"]["head_branch"]
    assert git(repository, "show", f"{branch}:greeting.txt") == "Hello again."
    assert git(repository, "show", f"{branch}:local.txt") == "From the desk."
    assert git(repository, "log", "-1", "--format=%s", f"{branch}~1") == "Mine"


def test_a_run_that_is_not_in_a_repository_has_no_checkpoint(house: House) -> None:
    run = house.run([{"write": {"path": "greeting.txt", "content": "Hello.\n"}}])
    assert run.ended()["artifacts"] == []
