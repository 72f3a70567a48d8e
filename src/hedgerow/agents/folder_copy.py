"""Files of the runtime tree: readable for every account; copies keep the times of the originals, so that bytecode stays valid."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def copy_file(source: Path, target: Path) -> None:
    """Copy the file that `source` leads to; anyone may read it, and run it where its owner may run the original."""
    make_folder(target.parent)
    shutil.copyfile(source, target)
    status = source.stat()
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    target.chmod(0o755 if status.st_mode & 0o100 else 0o644)


def copy_folder(source: Path, target: Path, wanted: Callable[[str], bool]) -> None:
    """Copy every file whose path within `source` (with slashes) is `wanted`; a folder that is not wanted is not entered."""
    for folder, folders, files in os.walk(source, followlinks=True):
        inner = Path(folder).relative_to(source)
        folders[:] = [name for name in folders if wanted((inner / name).as_posix())]
        for name in files:
            if wanted((inner / name).as_posix()) and (Path(folder) / name).exists():
                copy_file(Path(folder) / name, target / inner / name)


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, each of which anyone may enter and read."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)


def let_everyone_read(folder: Path) -> None:
    """Open everything in `folder` for reading, whatever the present umask or an archive said; what its owner may run, all may."""
    for inner, _, files in os.walk(folder):
        Path(inner).chmod(0o755)
        for path in (Path(inner) / name for name in files):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
