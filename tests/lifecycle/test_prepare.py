"""What a run needs before its agent can start."""

import os
from pathlib import Path

import pytest

from hedgerow.domain.errors import UnavailableError
from hedgerow.lifecycle import RunFolders
from hedgerow.lifecycle.prepare import make_folders


def test_a_runs_folders_are_closed_to_others_and_can_be_passed_through(tmp_path: Path) -> None:
    folders = RunFolders(root=tmp_path / "runs" / "1", sockets=tmp_path / "s" / "1")
    for _ in range(2):
        make_folders(folders, None)
    modes = [folder.stat().st_mode & 0o777 for folder in (folders.root, folders.sockets.parent, folders.sockets, folders.workspace)]
    assert modes == [0o711, 0o711, 0o700, 0o700]


def test_sockets_are_put_into_nobody_elses_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "s").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnavailableError, match="belongs to another account"):
        make_folders(RunFolders(root=tmp_path / "runs" / "1", sockets=tmp_path / "s" / "1"), None)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove everything")
def test_folders_that_an_agent_has_closed_are_removed_too(tmp_path: Path) -> None:
    folders = RunFolders(root=tmp_path / "runs" / "1", sockets=tmp_path / "s" / "1")
    make_folders(folders, None)
    closed = folders.workspace / "module" / "inner"
    closed.mkdir(parents=True)
    (closed / "file").touch()
    closed.chmod(0o500)
    closed.parent.chmod(0)
    folders.remove()
    assert not folders.root.exists()
