"""git commands that stay on this machine, in bare repositories that hedgerow has made itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hedgerow.domain.errors import UnavailableError
from hedgerow.repositories import git


@dataclass(frozen=True, slots=True, kw_only=True)
class Plumbing:
    """Runs git with no configuration but ours, each command for at most `timeout_seconds`."""

    environment: Mapping[str, str] = field(repr=False)
    timeout_seconds: float

    async def run(self, repository: Path, *arguments: str, stdin: str | None = None) -> git.Finished:
        """Run a git command in the bare repository `repository`, whatever comes of it."""
        command = ["--git-dir=.", *arguments]
        return await git.run(command, environment=self.environment, directory=repository, timeout_seconds=self.timeout_seconds, stdin=stdin)

    async def read(self, repository: Path, *arguments: str, stdin: str | None = None) -> str:
        """The output of such a command. Raises UnavailableError where it fails."""
        finished = await self.run(repository, *arguments, stdin=stdin)
        if finished.code:
            raise UnavailableError(f"The mirror {repository} cannot be used (git {arguments[0]} failed); it may be damaged.")
        return finished.output

    async def refs(self, repository: Path, *patterns: str) -> dict[str, str]:
        """The refs below `patterns`, each with the name of its object."""
        output = await self.read(repository, "for-each-ref", "--format=%(objectname) %(refname)", *patterns)
        return {ref: name for name, _, ref in (line.partition(" ") for line in output.splitlines())}

    async def is_ancestor(self, repository: Path, older: str, newer: str) -> bool:
        """Whether the commit `older` is `newer`, or lies in its history."""
        return (await self.run(repository, "merge-base", "--is-ancestor", older, newer)).code == 0
