"""`hedgerow agents`: which agents there are, and installing them ahead of their first run."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hedgerow.agents import runtimes
from hedgerow.agents.install import InstallProgress, install
from hedgerow.agents.options import AgentOptions
from hedgerow.agents.pins import PACKAGES
from hedgerow.agents.runtime_tree import ensure
from hedgerow.cli.errors import UsageError
from hedgerow.data_directory import data_directory

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

app = typer.Typer(no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help=f"Which: {', '.join(PACKAGES)}; all of them by default.")]


@app.command("install", help="Install agents into the data directory.")
def install_agents(names: Names = None) -> None:
    """Install the named agents, or all, one after the other."""
    chosen = list(dict.fromkeys(names or PACKAGES))
    for name in chosen:
        if name not in PACKAGES:
            raise UsageError(f"There is no agent {name!r} to install; there are {', '.join(PACKAGES)}.")
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(TextColumn("{task.fields[title]}"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn()) as progress:
        asyncio.run(_install(chosen, progress))


@app.command("list", help="Show every agent: whether it is installed, and whether it has a key.")
def list_agents() -> None:
    """One line for each agent."""
    from rich.console import Console
    from rich.table import Table

    options = AgentOptions(environment=os.environ)
    tree = asyncio.run(ensure(_data_dir(options)))
    table = Table("Agent", "Version", "Installed", "Key", box=None)
    for name, runtime in runtimes(options).items():
        version = PACKAGES[name].version if name in PACKAGES else "comes with hedgerow"
        key = "set" if runtime.has_key else "not set"
        table.add_row(name, version, "yes" if runtime.installed(tree) else "no", key if runtime.provider else "not needed")
    Console().print(table)


async def _install(names: list[str], progress: "Progress") -> None:
    options = AgentOptions(environment=os.environ)
    bars = {name: progress.add_task("waiting", title=PACKAGES[name].title, total=1.0) for name in names}
    progress.update(bars[names[0]], description="laying out the runtime tree")
    tree = await ensure(_data_dir(options))
    for name in names:
        await install(name, tree, options, _reporter(progress, bars))


def _reporter(progress: "Progress", bars: dict[str, "TaskID"]) -> Callable[[InstallProgress], None]:
    return lambda news: progress.update(bars[news.agent], description=news.step, completed=news.fraction)


def _data_dir(options: AgentOptions) -> Path:
    return data_directory(options.environment)
