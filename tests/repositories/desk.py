"""One run on one origin, from the checkout to the branch, as the worker and the agent go through it."""

from pathlib import Path
from uuid import UUID

from hedgerow.repositories import Checkout, Published, Repositories
from tests.repositories.workbench import Run, collect, git

RUN_ID = UUID("01900000-0000-7000-8000-0000000abcde")
BRANCH = "hedgerow/TSK-1-1"


class Desk:
    """A checked-out run. `clone_url` is the origin's path, unless another is given."""

    def __init__(self, repositories: Repositories, origin: Path, run: Run, clone_url: str | None = None, run_id: UUID = RUN_ID) -> None:
        self.repositories, self.origin, self.run = repositories, origin, run
        self.clone_url = clone_url or str(origin)
        self.run_id = run_id
        self.checkout: Checkout

    async def begin(self, owner: tuple[int, int] | None = None) -> "Desk":
        self.checkout = await self.repositories.check_out(
            project_id=1, clone_url=self.clone_url, base=None, branch=BRANCH, workspace=self.run.workspace, owner=owner
        )
        return self

    def collect(self) -> None:
        collect(self.repositories, self.run, self.checkout)

    async def publish(self) -> Published | None:
        base = self.checkout.base_commit
        return await self.repositories.publish(
            project_id=1, clone_url=self.clone_url, result=self.run.result, branch=BRANCH, run_id=self.run_id, base_commit=base
        )

    async def deliver(self) -> Published:
        """Collect and publish, whether the origin takes it or not."""
        self.collect()
        published = await self.publish()
        assert published is not None
        return published

    async def land(self) -> Published:
        """Collect and publish; the origin takes it."""
        published = await self.deliver()
        assert published.pushed, published.push_error
        return published

    def write(self, name: str, content: str = "new\n") -> None:
        path = self.run.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def files(self, published: Published) -> set[str]:
        return set(git(self.origin, "-c", "core.quotePath=false", "ls-tree", "-r", "--name-only", published.commit).splitlines())

    def show(self, published: Published, path: str) -> str:
        return git(self.origin, "show", f"{published.commit}:{path}")
