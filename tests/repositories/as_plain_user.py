"""Run by a test as an ordinary account: from a repository of its own to the branch in it."""

import asyncio
import sys
from pathlib import Path

from hedgerow.repositories import Repositories
from tests.repositories.desk import Desk
from tests.repositories.workbench import Run, make_repository


async def main(folder: Path) -> None:
    origin = make_repository(folder / "origin")
    run = Run(folder / "run")
    run.workspace.mkdir(parents=True)
    run.result.mkdir()
    desk = await Desk(Repositories(folder / "mirrors", allow_local=True), origin, run).begin()
    desk.write("work")
    published = await desk.land()
    print(published.branch, published.pushed)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
