"""What a checkpoint says of itself, and what is believed of it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.domain.checkpoints import FilesState, Taken, kept, read, read_state, told

NOW = datetime(2026, 5, 7, 10, tzinfo=UTC)

_objects = st.text("0123456789abcdef", min_size=40, max_size=40) | st.text("0123456789abcdef", min_size=64, max_size=64)
_words = st.text(st.characters(categories=("L", "N", "P", "S"), exclude_characters=" "), min_size=1, max_size=50)
_states = st.builds(
    FilesState,
    base_commit=_objects,
    head=_objects,
    branch=st.none() | _words,
    index_tree=_objects,
    worktree_tree=_objects,
    branches=st.dictionaries(_words.map(lambda word: f"refs/heads/{word}"), _objects, max_size=5),
)
_taken = st.builds(Taken, state=_states, commit=_objects, upstream_remote=st.none() | _words, upstream_merge_ref=st.none() | _words)


def params_of(taken: Taken) -> dict[str, Any]:
    return told("c1", taken, remote_url="https://git.test/a/b", pack_path="p", index_path="i", now=NOW)


@given(_taken)
def test_what_the_script_writes_is_what_is_told_kept_and_compared(taken: Taken) -> None:
    text = f"{taken.state.text()}\ncommit {taken.commit}\nremote {taken.upstream_remote or ''}\nmerge {taken.upstream_merge_ref or ''}"
    assert read_state(text) == taken
    found = kept(params_of(taken))
    assert found is not None
    checkpoint = read(found)
    assert checkpoint is not None
    assert checkpoint.state() == taken.state


@given(st.text())
def test_no_text_of_a_sandbox_is_more_than_no_state(text: str) -> None:
    assert read_state(text) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"checkpointId": None},
        {"checkpointId": ""},
        {"checkpointId": ["c1"]},
        {"artifactPath": ""},
        {"indexArtifactPath": 5},
        {"head": "HEAD"},
        {"indexTree": "1" * 41},
        {"worktreeTree": None},
        {"timestamp": "2026\x00"},
        {"remoteUrl": "x" * 3000},
        {"branch": "\ud800"},
    ],
    ids=str,
)
def test_params_that_no_checkpoint_can_be_made_of_are_not_kept(changes: dict[str, Any]) -> None:
    state = FilesState(base_commit="1" * 40, head="2" * 40, branch="main", index_tree="3" * 40, worktree_tree="4" * 40)
    params = params_of(Taken(state=state, commit="5" * 40))
    assert kept(params) is not None
    assert kept(params | changes) is None
    assert kept(None) is None


def test_what_a_client_leaves_out_is_not_known() -> None:
    needed = {"checkpointId": "c1", "artifactPath": "p", "head": "1" * 40, "indexTree": "2" * 40, "worktreeTree": "3" * 40}
    checkpoint = read(kept(needed | {"baseCommit": "main", "branches": ["x"], "anything": {"else": 1}}) or {})
    assert checkpoint is not None
    assert (checkpoint.branch, checkpoint.index_path, checkpoint.base_commit, checkpoint.branches) == (None, None, None, {})
    assert checkpoint.state() is None
