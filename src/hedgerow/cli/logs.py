"""`hedgerow logs`: what happened in a run, and what goes on happening."""

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from hedgerow.cli.connect import connect, output
from hedgerow.cli.ending import describe_ending
from hedgerow.cli.finding import find_run, repository_of, short
from hedgerow.cli.follow import follow_run
from hedgerow.cli.headline import headline
from hedgerow.cli.program import command_line
from hedgerow.cli.screen import Screen
from hedgerow.cli.talk import RunArgument
from hedgerow.cli.transcript import Transcript
from hedgerow.client import Client, Received, Run, Task

app = typer.Typer()


@app.command()
def logs(
    run: RunArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep watching until the run has ended.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The raw entries, one JSON object a line; with -f every event of the stream.")
    ] = False,
) -> None:
    """Show what happened in a run; with -f also what goes on happening. The exit code of -f is that of `run`."""
    with connect() as client:
        task, found = find_run(client, run)
        if as_json:
            _raw(client, found, follow)
        elif follow:
            raise typer.Exit(follow_run(client, found, output()))
        else:
            _show(client, task, found, output())


def _raw(client: Client, run: Run, follow: bool) -> None:
    if not follow:
        for line in client.read_logs(run):
            print(line)
        return
    for update in client.follow(run):
        if isinstance(update, Received):
            print(update.text, flush=True)


def _show(client: Client, task: Task, run: Run, console: Console) -> None:
    transcript = Transcript()
    screen = Screen(console, transcript, short(run.id), lambda: "")
    for line in headline(task, run):
        screen.print(line)
    for entry in client.iterate_session_logs(run):
        for item in transcript.apply(entry):
            screen.show(item)
    screen.print(Text(""))
    if not run.status.terminal:
        hint = command_line("logs", short(run.id), "-f")
        screen.print(Text.assemble(f"The run is {run.status.value.replace('_', ' ')}. Keep watching: ", (hint, "cyan")))
        return
    for item in transcript.finish():
        screen.show(item)
    for line in describe_ending(run, repository_of(client, task), screen.marks, transcript.last_problem):
        screen.print(line)
