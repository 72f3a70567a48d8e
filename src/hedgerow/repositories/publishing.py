"""Giving a result its branch: in the mirror for certain, and at the origin where that may be written to."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from hedgerow.domain.branches import distinct_result_branch
from hedgerow.domain.errors import HedgerowError
from hedgerow.repositories.failures import failure, summary
from hedgerow.repositories.mirrors import Mirrors, beside
from hedgerow.repositories.origins import Origins
from hedgerow.repositories.plumbing import Plumbing
from hedgerow.repositories.results import Incoming, take_over
from hedgerow.repositories.starts import BRANCHES
from hedgerow.repositories.urls import CloneUrl

_RESULTS = "refs/hedgerow/results/"
_STATUS = re.compile(r"^(?P<flag>[ +\-*!=])\t[^\t]*\t(?P<text>.*)$", re.MULTILINE)
_TAKEN = re.compile(r"\((stale info|(reference )?already exists|non-fast-forward|fetch first|needs force)\)")
_REASON = re.compile(r"\((?P<reason>.*)\)")
_FIGURES = {
    "files_changed": re.compile(r"(\d+) files? changed"),
    "insertions": re.compile(r"(\d+) insertions?\(\+\)"),
    "deletions": re.compile(r"(\d+) deletions?\(-\)"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A result that is safe: the commit lies in the mirror, whether it could be pushed or not."""

    branch: str
    commit: str
    diff_stat: dict[str, int] = field(default_factory=dict)
    pushed: bool
    push_error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What is to be published: the run's result folder, the branch it would like, and the commit the run began at."""

    folder: Path
    branch: str
    run_id: UUID
    base_commit: str
    max_bytes: int


@dataclass(frozen=True, slots=True)
class _Push:
    """How a push ended. `taken`: the branch exists at the origin and names another commit."""

    pushed: bool
    taken: bool = False
    error: str | None = None
    commit: str | None = None  # what the branch names, where that is not the commit that was to be pushed


Allowed = Callable[[], Awaitable[None]]  # raises where nothing may be pushed any more


async def always() -> None:
    """Whoever asks may push."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Publishes results. Safe to repeat: a run whose result has a branch keeps that branch."""

    mirrors: Mirrors
    origins: Origins
    plumbing: Plumbing

    async def publish(self, mirror: Path, url: CloneUrl, result: Result, allowed: Allowed = always) -> Published | None:
        """Take the result over and give it a branch; None where nothing has changed. What `allowed` raises before a push is passed on.

        Raises InvalidError where the result folder holds no sound result, UnavailableError where the mirror cannot be written. That the
        origin refuses the branch is no error: `push_error` says why, and the commit stays in the mirror.
        """
        async with self.mirrors.hold(mirror):
            await self.mirrors.ensure(mirror, url)
            commit = await self._take_over(mirror, result)
            if commit is None:
                return None
            branch, former = await self._recorded(mirror, result.run_id) or (await self._name(mirror, result, commit), None)
            if former is not None and await self._same(mirror, former, commit):
                commit = former
            await self._record(mirror, result.run_id, branch, commit)
        await allowed()
        push = await self._push(mirror, url, branch, commit, former)
        distinct = distinct_result_branch(result.branch, result.run_id)
        if push.taken and branch != distinct:
            await allowed()
            branch = distinct
            async with self.mirrors.hold(mirror):
                await self._record(mirror, result.run_id, branch, commit)
            push = await self._push(mirror, url, branch, commit, None)
        if push.commit is not None:
            commit = push.commit
            async with self.mirrors.hold(mirror):
                await self._record(mirror, result.run_id, branch, commit)
        statistics = await self._diff_stat(mirror, result.base_commit, commit)
        return Published(branch=branch, commit=commit, diff_stat=statistics, pushed=push.pushed, push_error=push.error)

    async def _take_over(self, mirror: Path, result: Result) -> str | None:
        bundle = Incoming(
            folder=result.folder,
            quarantine=beside(mirror, ".incoming"),
            base_commit=result.base_commit,
            ref=f"refs/hedgerow/incoming/{result.run_id.hex}",
            max_bytes=result.max_bytes,
        )
        return await take_over(self.plumbing, mirror, bundle)

    async def _recorded(self, mirror: Path, run_id: UUID) -> tuple[str, str] | None:
        """The branch and commit that the run has already."""
        own = f"{_RESULTS}{run_id.hex}/"
        refs = await self.plumbing.refs(mirror, own)
        return next(((ref.removeprefix(own), name) for ref, name in refs.items()), None)

    async def _same(self, mirror: Path, one: str, other: str) -> bool:
        """Whether two commits differ in their words and times at most: work that is collected twice is committed twice."""
        output = await self.plumbing.read(mirror, "log", "--no-walk=unsorted", "--format=%T %P", one, other)
        return len(set(output.splitlines())) == 1

    async def _name(self, mirror: Path, result: Result, commit: str) -> str:
        """The branch that the run would like, or the distinct one where that exists already, with other work."""
        refs = await self.plumbing.refs(mirror, f"refs/heads/{result.branch}", f"{BRANCHES}{result.branch}")
        there = {refs.get(place + result.branch, commit) for place in ("refs/heads/", BRANCHES)}
        for other in there - {commit}:
            if not await self._same(mirror, other, commit):
                return distinct_result_branch(result.branch, result.run_id)
        return result.branch

    async def _record(self, mirror: Path, run_id: UUID, branch: str, commit: str) -> None:
        """Write down, at once, that this commit is the run's result under this name, and forget an earlier name."""
        own = f"{_RESULTS}{run_id.hex}/"
        lines = []
        for ref, name in (await self.plumbing.refs(mirror, own)).items():
            former = ref.removeprefix(own)
            if former != branch:
                lines += [f"delete {ref} {name}", f"delete refs/heads/{former} {name}"]
        lines += [f"update {own}{branch} {commit}", f"update refs/heads/{branch} {commit}", f"delete refs/hedgerow/incoming/{run_id.hex}"]
        await self.plumbing.read(mirror, "update-ref", "--stdin", stdin="".join(f"{line}\n" for line in lines))

    async def _push(self, mirror: Path, url: CloneUrl, branch: str, commit: str, former: str | None) -> _Push:
        """Push, without ever taking anything from the branch: it is new, or goes on from what this run has pushed as `former`."""
        try:
            if former is not None and former != commit and await self.plumbing.is_ancestor(mirror, former, commit):
                push = await self._try_push(mirror, url, branch, commit, former)
                if not push.taken:
                    return push
            push = await self._try_push(mirror, url, branch, commit, None)
            if push.taken:
                return await self._pushed_before(mirror, url, branch, commit) or push
        except HedgerowError as error:
            return _Push(pushed=False, error=error.message)
        return push

    async def _try_push(self, mirror: Path, url: CloneUrl, branch: str, commit: str, former: str | None) -> _Push:
        finished = await self.origins.push(mirror, url, commit, f"refs/heads/{branch}", former=former)
        status = _STATUS.search(finished.output)
        if finished.code == 0 and status is not None and status["flag"] in "*=+ ":
            return _Push(pushed=True)
        if status is None:
            raise failure(url, finished.errors)
        if _TAKEN.search(status["text"]):
            return _Push(pushed=False, taken=True, error=f"The branch {branch} exists at {url.clean} already.")
        found = _REASON.search(status["text"])
        reason = found["reason"] if found is not None else status["text"]
        said = summary("\n".join(line for line in finished.errors.splitlines() if line.startswith("remote:")), url.secrets)
        detail = "" if said.startswith("it gave no reason") else f" {said}"
        return _Push(pushed=False, error=f"{url.clean} refused the branch {branch}: {summary(reason, url.secrets)}.{detail}")

    async def _pushed_before(self, mirror: Path, url: CloneUrl, branch: str, commit: str) -> _Push | None:
        """How the commit was pushed before, where the origin's branch of that name has it; None where the branch is another's.

        Somebody may have gone on from there. Or another machine has pushed the same work, committed at another time, before it was lost.
        """
        async with self.mirrors.hold(mirror):
            await self.mirrors.fetch(mirror, url, (f"+refs/heads/{branch}:{BRANCHES}{branch}",))
        if await self.plumbing.is_ancestor(mirror, commit, BRANCHES + branch):
            return _Push(pushed=True)
        there = (await self.plumbing.refs(mirror, BRANCHES + branch)).get(BRANCHES + branch)
        return _Push(pushed=True, commit=there) if there is not None and await self._same(mirror, there, commit) else None

    async def _diff_stat(self, mirror: Path, base: str, commit: str) -> dict[str, int]:
        arguments = ("diff-tree", "-r", "--find-renames", "--shortstat", "--no-ext-diff", "--no-textconv", base, commit)
        output = await self.plumbing.read(mirror, *arguments)
        found = {name: figure.search(output) for name, figure in _FIGURES.items()}
        return {name: int(match[1]) if match is not None else 0 for name, match in found.items()}
