"""The three things that are said to the origin of a mirror: what is your HEAD, give me these refs, take this branch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hedgerow.repositories import git
from hedgerow.repositories.credentials import with_credentials
from hedgerow.repositories.failures import failure
from hedgerow.repositories.local import check_local, command_at
from hedgerow.repositories.urls import CloneUrl, Transport

_FETCH = ("--quiet", "--no-tags", "--prune", "--update-shallow", "--no-write-fetch-head", "--no-auto-gc", "--no-recurse-submodules")
_PUSH = ("--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no")


@dataclass(frozen=True, slots=True)
class Head:
    """What HEAD of an origin is: the full ref of a branch, and its commit; no ref where it is detached, nothing where all is empty."""

    ref: str | None = None
    commit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Runs git with the operator's credentials, each command for at most `timeout_seconds`."""

    environment: Mapping[str, str] = field(repr=False)
    timeout_seconds: float

    async def head(self, url: CloneUrl) -> Head:
        """HEAD of the origin. A fetch does not tell it. Raises what `failures.failure` makes of git's words."""
        command = ["ls-remote", "--quiet", "--symref", *_service(url, "upload-pack"), "--", url.clean, "HEAD"]
        finished = await self._run(url, command, Path("/"))  # not in some repository, whose configuration would count
        if finished.code:
            raise failure(url, finished.errors)
        head = Head()
        for line in finished.output.splitlines():
            value, _, name = line.partition("\t")
            if name == "HEAD":
                head = replace(head, ref=value.removeprefix("ref: ")) if value.startswith("ref: ") else replace(head, commit=value)
        return head

    async def fetch(self, mirror: Path, url: CloneUrl, refspecs: Sequence[str]) -> git.Finished:
        """Fetch `refspecs` into the bare repository `mirror`, whatever comes of it."""
        command = ["--git-dir=.", "fetch", *_FETCH, *_service(url, "upload-pack"), "--", url.clean, *refspecs]
        return await self._run(url, command, mirror)

    async def push(self, mirror: Path, url: CloneUrl, commit: str, ref: str, *, former: str | None) -> git.Finished:
        """Let `ref` name `commit` at the origin, whatever comes of it, provided that it names `former` now (None: nothing)."""
        command = [
            "--git-dir=.",
            "push",
            *_PUSH,
            *_service(url, "receive-pack"),
            f"--force-with-lease={ref}:{former or ''}",
            "--",
            url.clean,
        ]
        return await self._run(url, [*command, f"{commit}:{ref}"], mirror)

    async def _run(self, url: CloneUrl, command: Sequence[str], directory: Path) -> git.Finished:
        environment = with_credentials(self.environment, url)
        return await git.run(command, environment=environment, directory=directory, timeout_seconds=self.timeout_seconds)


def _service(url: CloneUrl, command: str) -> list[str]:
    """The option that says how git's other half runs in a local repository."""
    if url.transport is not Transport.LOCAL:
        return []
    check_local(url.path)
    return [f"--{command}={command_at(url.path, command)}"]
