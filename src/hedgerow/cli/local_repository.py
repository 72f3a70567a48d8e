"""A git checkout of this machine, seen and kept without touching its index, its work tree or its branches."""

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hedgerow.cli.errors import UsageError

CHANGES = "refs/hedgerow/changes/"
_HUGE_BYTES = 50 * 1024 * 1024
_IDENTITY = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "hedgerow"), ("EMAIL", "hedgerow@localhost"))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRepository:
    """A checkout as it stands. `branch` is None where no branch is checked out, `commit` where there is none yet."""

    root: Path
    branch: str | None
    commit: str | None
    changed: tuple[str, ...]  # tracked files that differ from the last commit
    untracked: tuple[str, ...]  # new files that are not ignored; a folder that is a repository of its own ends with /
    submodules: tuple[str, ...]  # submodules with changes of their own, which a commit cannot hold

    @property
    def dirty(self) -> bool:
        """Whether there is anything that no commit holds."""
        return bool(self.changed or self.untracked)

    @property
    def summary(self) -> str:
        """What is not committed, in a few words."""
        counts = ((len(self.changed), "changed"), (len(self.untracked), "new"))
        return " and ".join(f"{count} {word} file{'' if count == 1 else 's'}" for count, word in counts if count)

    @property
    def cautions(self) -> list[str]:
        """What whoever includes the changes should know."""
        nested = [name for name in self.untracked if name.endswith("/")]
        huge = [name for name in (*self.changed, *self.untracked) if _size(self.root / name) > _HUGE_BYTES]
        texts = []
        if self.submodules:
            texts.append(f"Changes inside submodules cannot be included: {_some(self.submodules)}.")
        if nested:
            texts.append(f"Repositories inside this one are not included: {_some(nested)}.")
        if huge:
            texts.append(f"Some of the files are huge, which takes time and space: {_some(huge)}.")
        return texts


def inspect(folder: Path) -> LocalRepository:
    """The checkout that `folder` lies in. Raises UsageError where it lies in none, in a bare one, or git refuses."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.")
    if shutil.which("git") is None:
        raise UsageError("git is not installed, and without it a local repository cannot be used.")
    asked = _git(folder, "rev-parse", "--show-toplevel", check=False)
    if asked.returncode != 0:
        raise UsageError(_no_checkout(folder, asked.stderr.decode(errors="replace")))
    root = Path(os.fsdecode(asked.stdout.removesuffix(b"\n")))
    branch = _git(root, "symbolic-ref", "--quiet", "--short", "HEAD", check=False).stdout.decode().strip()
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}", check=False).stdout.decode().strip()
    changed, untracked, submodules = _status(root)
    return LocalRepository(
        root=root, branch=branch or None, commit=commit or None, changed=changed, untracked=untracked, submodules=submodules
    )


def keep_changes(repository: LocalRepository) -> str:
    """Commit the whole work tree (new files too, ignored ones not) to a ref of its own, whose name is returned.

    Index, work tree and branches stay as they are: the commit is made through a temporary index. Raises UsageError.
    """
    git_folder = Path(os.fsdecode(_git(repository.root, "rev-parse", "--absolute-git-dir").stdout.removesuffix(b"\n")))
    with tempfile.TemporaryDirectory(prefix="hedgerow-", dir=git_folder) as folder:
        index = Path(folder) / "index"
        if (git_folder / "index").exists():
            shutil.copy2(git_folder / "index", index)  # with what git knows of unchanged files, so that it need not read them all
        _hand_over(repository.root, Path(folder), index)
        environment = {"GIT_INDEX_FILE": str(index)}
        nested = [f":(exclude,top,literal){name.removesuffix('/')}" for name in repository.untracked if name.endswith("/")]
        _git(repository.root, "add", "--all", "--", ":/", *nested, environment=environment)
        tree = _git(repository.root, "write-tree", environment=environment).stdout.decode().strip()
    return _keep(repository, tree, "Changes that were not committed")


def keep_commit(repository: LocalRepository) -> str:
    """Give the present commit of a checkout that is on no branch a ref, whose name is returned, so that it can be fetched."""
    assert repository.commit is not None
    ref = f"{CHANGES}{repository.commit[:12]}"
    _git(repository.root, "update-ref", ref, repository.commit)
    return ref


def _keep(repository: LocalRepository, tree: str, message: str) -> str:
    parent = ["-p", repository.commit] if repository.commit else []
    commit = _git(repository.root, "commit-tree", tree, *parent, "-m", message, environment=_IDENTITY).stdout.decode().strip()
    ref = f"{CHANGES}{commit[:12]}"
    _git(repository.root, "update-ref", ref, commit)
    return ref


def _status(root: Path) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Changed files, new files, submodules with changes inside (git status, porcelain version 2, NUL-terminated)."""
    output = _git(root, "status", "--porcelain=v2", "-z", "--untracked-files=all", "--ignore-submodules=none").stdout
    changed, untracked, submodules = [], [], []
    records = iter(os.fsdecode(output).split("\0"))
    for record in records:
        kind, _, rest = record.partition(" ")
        if kind == "?":
            untracked.append(rest)
        elif kind in {"1", "2", "u"}:
            fields = rest.split(" ", {"1": 7, "2": 8, "u": 9}[kind])
            if kind == "2":
                next(records, None)  # the name before the renaming
            if fields[1].startswith("S") and set(fields[1][2:]) & set("MU"):
                submodules.append(fields[-1])
            if not (fields[1].startswith("S") and fields[1][1] != "C"):
                changed.append(fields[-1])
    return tuple(changed), tuple(untracked), tuple(submodules)


def _git(
    folder: Path, *arguments: str, environment: dict[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a checkout, as its owner where root looks at somebody else's: so no file of theirs becomes root's."""
    uid, gid, home = _owner(folder)
    given = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in {"GIT_SSH", "GIT_SSH_COMMAND"}}
    given |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", **({"HOME": home} if home else {}), **(environment or {})}
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(
        command, env=given, capture_output=True, check=False, user=uid, group=gid, extra_groups=None if uid is None else []
    )
    if check and done.returncode != 0:
        raise UsageError(f"git {arguments[0]} failed in {folder}: {_last_line(done.stderr.decode(errors='replace'))}")
    return done


def _owner(folder: Path) -> tuple[int | None, int | None, str | None]:
    """Whom git has to be run as: nobody else, unless root looks at a folder of another account."""
    owner = folder.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return None, None, None
    try:
        home = pwd.getpwuid(owner.st_uid).pw_dir
    except KeyError:
        home = "/nonexistent"
    return owner.st_uid, owner.st_gid, home


def _hand_over(root: Path, *paths: Path) -> None:
    uid, gid, _ = _owner(root)
    if uid is not None and gid is not None:
        for path in paths:
            if path.exists():
                os.chown(path, uid, gid)


def _no_checkout(folder: Path, said: str) -> str:
    if "must be run in a work tree" in said:
        return f"{folder} is a bare git repository; name a checkout, or its URL."
    if "not a git repository" in said:
        return f"{folder} is not in a git repository; make one with `git init`, or name another with --repo."
    return f"git cannot use {folder}: {_last_line(said)}"


def _last_line(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith(("hint:", "warning:"))]
    return lines[0].removeprefix("fatal: ").removeprefix("error: ") if lines else "it did not say why"


def _size(path: Path) -> int:
    try:
        found = path.lstat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _some(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
