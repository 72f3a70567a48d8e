import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.domain.errors import InvalidError
from hedgerow.repositories.names import branch_name, full_ref, is_ref_name


@given(st.text(st.sampled_from("ab/.@{~^:?*[\\ -\x7f\tlock"), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_every_name_that_passes_is_one_that_git_takes(name: str) -> None:
    if is_ref_name(f"refs/heads/{name}"):
        git = shutil.which("git")
        assert git is not None
        assert subprocess.run([git, "check-ref-format", f"refs/heads/{name}"]).returncode == 0


@pytest.mark.parametrize("name", ["main", "hedgerow/TSK-1-1", "feature/ü", "a.b", "refs/heads/main"])
def test_a_branch_is_given_by_its_name_or_its_full_ref(name: str) -> None:
    assert branch_name(name) == name.removeprefix("refs/heads/")


@pytest.mark.parametrize("name", ["", "-x", "a..b", "a b", "a:b", "HEAD", "x.lock", "a/", "refs/tags/v1", "a\nb", "x" * 300])
def test_what_cannot_be_a_branch_is_refused(name: str) -> None:
    with pytest.raises(InvalidError):
        branch_name(name)


def test_a_base_may_be_any_full_ref() -> None:
    assert full_ref("main") == "refs/heads/main"
    assert full_ref("refs/pull/5/head") == "refs/pull/5/head"
    with pytest.raises(InvalidError):
        full_ref("refs/x:y")
