"""Git checkpoints: how the files of a run stand at one moment, so that they can be put into another workspace.

A checkpoint is told by an entry of the journal, `_posthog/git_checkpoint`. Clients write such entries as well, when they hand their files
over; theirs know neither `baseCommit` nor `branches`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeGuard

from hedgerow.domain.runs import Environment, TaskRun

METHOD = "_posthog/git_checkpoint"

_NAMES = (
    "checkpointId",
    "commit",
    "checkpointRef",
    "headRef",
    "head",
    "branch",
    "indexTree",
    "worktreeTree",
    "timestamp",
    "upstreamRemote",
    "upstreamMergeRef",
    "remoteUrl",
    "artifactPath",
    "indexArtifactPath",
    "baseCommit",
)
_OBJECT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LONGEST_TEXT = 2000
_MOST_BRANCHES = 100


HANDED_OVER = "handedOver"
"""In what is kept of a checkpoint: that a client's files wait in it to be put into a workspace. No entry holds it."""

SOURCE = "hedgerow_checkpoint"
"""The source of the artifacts that hold checkpoints, by which old ones are found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRules:
    """What the operator has decided about checkpoints."""

    kept: int = 3  # of one run
    largest_bytes: int = 256 * 2**20  # of the pack of one, and of its index
    seconds: float = 120.0  # how long taking one, or putting one back, may last


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesState:
    """How the files of a workspace stand: five objects of git, by name, and the branches with their commits."""

    base_commit: str  # what the workspace was checked out at
    head: str
    branch: str | None  # None: HEAD is detached
    index_tree: str
    worktree_tree: str  # every file that is not ignored, in its own bytes
    branches: Mapping[str, str] = field(default_factory=dict)  # by full ref

    def text(self) -> str:
        """The state as the checkpoint script writes it, to be compared with what it finds."""
        lines = [f"base {self.base_commit}", f"head {self.head}", f"branch {self.branch or ''}", f"index {self.index_tree}"]
        lines += [f"worktree {self.worktree_tree}", *(f"ref {commit} {ref}" for ref, commit in self.branches.items())]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A checkpoint that has just been taken of a workspace: a commit whose tree holds the index and the files."""

    state: FilesState
    commit: str
    upstream_remote: str | None = None
    upstream_merge_ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GitCheckpoint:
    """What a checkpoint says of itself, as far as it is needed to put it into a workspace. `base_commit` None: a client's does not say."""

    id: str
    head: str
    branch: str | None
    index_tree: str
    worktree_tree: str
    pack_path: str
    index_path: str | None
    base_commit: str | None
    branches: Mapping[str, str]

    def state(self) -> FilesState | None:
        """How the files stand with it; None where that is not known in full."""
        if self.base_commit is None:
            return None
        return FilesState(
            base_commit=self.base_commit,
            head=self.head,
            branch=self.branch,
            index_tree=self.index_tree,
            worktree_tree=self.worktree_tree,
            branches=self.branches,
        )


def told(checkpoint_id: str, taken: Taken, *, remote_url: str, pack_path: str, index_path: str, now: datetime) -> dict[str, Any]:
    """The params of a checkpoint's entry. `remote_url` holds no credentials."""
    state = taken.state
    return {
        "checkpointId": checkpoint_id,
        "commit": taken.commit,
        "checkpointRef": f"refs/posthog-code-checkpoint/{checkpoint_id}",
        "headRef": f"refs/posthog-code-handoff/head/{checkpoint_id}",
        "head": state.head,
        "branch": state.branch,
        "indexTree": state.index_tree,
        "worktreeTree": state.worktree_tree,
        "timestamp": now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "upstreamRemote": taken.upstream_remote,
        "upstreamMergeRef": taken.upstream_merge_ref,
        "remoteUrl": remote_url,
        "artifactPath": pack_path,
        "indexArtifactPath": index_path,
        "device": {"type": "cloud", "name": "hedgerow"},
        "baseCommit": state.base_commit,
        "branches": dict(state.branches),
    }


def artifact_names(checkpoint_id: str) -> tuple[str, str]:
    """What the artifacts of a checkpoint are called: its pack, and its index."""
    return f"handoff/{checkpoint_id}.pack", f"handoff/{checkpoint_id}.index"


def kept(params: Any) -> dict[str, Any] | None:
    """What is kept of the params of an entry, of which `read` then makes a checkpoint; None where no checkpoint can be made of them."""
    if not isinstance(params, dict):
        return None
    found = {name: params[name] for name in _NAMES if name in params}
    if any(not (value is None or _is_text(value)) for value in found.values()):
        return None
    branches = params.get("branches")
    if isinstance(branches, dict) and len(branches) <= _MOST_BRANCHES:
        found["branches"] = {ref: name for ref, name in branches.items() if _is_text(ref) and _is_object(name)}
    return found if read(found) is not None else None


def read(params: Mapping[str, Any]) -> GitCheckpoint | None:
    """The checkpoint that kept params describe; None where they lack what it takes to restore one."""
    checkpoint_id, pack_path = params.get("checkpointId"), params.get("artifactPath")
    head, index_tree, worktree_tree = params.get("head"), params.get("indexTree"), params.get("worktreeTree")
    base_commit = params.get("baseCommit")
    if not checkpoint_id or not pack_path:
        return None
    if not _is_object(head) or not _is_object(index_tree) or not _is_object(worktree_tree):
        return None
    return GitCheckpoint(
        id=checkpoint_id,
        head=head,
        branch=params.get("branch") or None,
        index_tree=index_tree,
        worktree_tree=worktree_tree,
        pack_path=pack_path,
        index_path=params.get("indexArtifactPath") or None,
        base_commit=base_commit if _is_object(base_commit) else None,
        branches=params.get("branches") or {},
    )


def read_state(text: str) -> Taken | None:
    """What the checkpoint script says that it took; None where that is not as it writes it."""
    found: dict[str, str] = {}
    branches: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        name, _, ref = value.partition(" ")
        if key == "ref" and _is_object(name) and _is_text(ref) and len(branches) < _MOST_BRANCHES:
            branches[ref] = name
        elif _is_text(value):
            found[key] = value
    objects = [found.get(key) for key in ("base", "head", "index", "worktree", "commit")]
    if not all(_is_object(name) for name in objects):
        return None
    state = FilesState(
        base_commit=found["base"],
        head=found["head"],
        branch=found.get("branch") or None,
        index_tree=found["index"],
        worktree_tree=found["worktree"],
        branches=branches,
    )
    return Taken(
        state=state, commit=found["commit"], upstream_remote=found.get("remote") or None, upstream_merge_ref=found.get("merge") or None
    )


def _is_object(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and _OBJECT.fullmatch(value) is not None


def _is_text(value: Any) -> TypeGuard[str]:
    """Whether a value is a short text without control characters and lone surrogates."""
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT and value.isprintable()


def awaits_next_start(run: TaskRun) -> bool:
    """Whether a client has handed its files over, and the start of the run that is still here is not the one they are for."""
    checkpoint = run.execution.checkpoint
    over = run.execution.restarting or run.status.terminal or run.environment is Environment.LOCAL
    return over and checkpoint is not None and HANDED_OVER in checkpoint


def after_landing(run: TaskRun, *, pushed: bool) -> dict[str, Any]:
    """The facts of a run whose work was landed: it goes on from its branch, unless a client has handed over other files.

    A branch that could not be pushed lies on one machine alone. So the run goes on from its checkpoint then, where that holds all the work.
    """
    execution = run.execution
    handed_over = execution.checkpoint is not None and HANDED_OVER in execution.checkpoint
    return {} if handed_over or not (pushed or execution.checkpoint_failed) else {"checkpoint": None}


def restored(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a checkpoint once it has been put into a workspace."""
    return {name: value for name, value in checkpoint.items() if name != HANDED_OVER}
