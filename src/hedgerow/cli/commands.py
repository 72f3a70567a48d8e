"""The table of commands: where each one lives, and its line in the help."""

from dataclasses import dataclass
from importlib import import_module

import typer

_HELP = """Runs coding agents as tasks, in sandboxes, on your own machines.

Start it with [bold]up[/bold], then give it work with [bold]run[/bold]."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A command, the module whose `app` holds it, and what it does in a line. A group's module holds the group's commands."""

    name: str
    module: str
    help: str
    panel: str = "Tasks"
    group: bool = False


COMMANDS = (
    Entry("run", "run", "Give an agent a task and watch it work."),
    Entry("logs", "logs", "Show what happened in a run; -f keeps watching."),
    Entry("send", "talk", "Send the agent of a run a message."),
    Entry("answer", "talk", "Answer a permission request of an agent."),
    Entry("approvals", "approvals", "List what agents ask leave for and wait."),
    Entry("cancel", "talk", "Tell the agent of a run to stop."),
    Entry("artifacts", "artifacts", "List the artifacts of a run, or download them."),
    Entry("task", "tasks", "List tasks, or show one.", group=True),
    Entry("up", "operator", "Start everything: API, worker and database.", "Operation"),
    Entry("api", "operator", "Start the API alone.", "Operation"),
    Entry("worker", "operator", "Start a worker alone.", "Operation"),
    Entry("agents", "agents", "List and install agents.", "Operation", group=True),
    Entry("admin", "admin", "People, projects, keys, integrations, and the record of who did what.", "Operation", group=True),
    Entry("gc", "garbage", "Remove what nobody needs any more; --dry-run only lists it.", "Operation"),
    Entry("settings", "operator", "Every setting with its value.", "Operation"),
)


def build(name: str) -> typer.Typer:
    """The application with the module of the command `name` mounted; the others are only names with a help line."""
    app = typer.Typer(
        name="hedgerow", help=_HELP, no_args_is_help=True, add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False
    )
    app.callback()(_options)
    wanted = next((entry for entry in COMMANDS if entry.name == name), None)
    for entry in COMMANDS:
        if wanted is None or entry.module != wanted.module:
            app.command(entry.name, help=entry.help, rich_help_panel=entry.panel)(_named_only)
    if wanted is not None:
        mounted = import_module(f"hedgerow.cli.{wanted.module}").app
        app.add_typer(mounted, name=wanted.name if wanted.group else None)
    return app


def _named_only() -> None:
    raise AssertionError("a command's module is mounted before the command is called")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"hedgerow {version('hedgerow')}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(False, "--version", help="Show the version.", is_eager=True, callback=_version),
) -> None:
    """Options of the program itself."""
