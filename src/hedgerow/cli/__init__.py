"""The command `hedgerow`. Each command's module is imported when it is called, and no other: start-up time is a promise."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer


def main() -> None:
    """The console script. The programs of the sandbox start before anything of the command line is imported."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name == "agent-server":
        from hedgerow.agent_server.__main__ import main as run_agent_server

        sys.exit(run_agent_server())
    from hedgerow.cli.errors import exit_cleanly

    with exit_cleanly():
        application(name)(prog_name="hedgerow")


def application(name: str) -> "typer.Typer":
    """The command line with the command `name` in full, and every other one by its help line alone."""
    from hedgerow.cli.commands import build

    return build(name)
