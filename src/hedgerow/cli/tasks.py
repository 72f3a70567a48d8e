"""`hedgerow task list` and `task show`."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from hedgerow.cli.connect import connect, output
from hedgerow.cli.finding import find_task, short
from hedgerow.cli.painting import marks_for, message
from hedgerow.cli.program import command_line
from hedgerow.cli.safe_text import one_line, ordinal, safe
from hedgerow.client import Run, Task
from hedgerow.domain.runs import RunStatus

app = typer.Typer(no_args_is_help=True, help="List tasks, or show one.")
STATUS_STYLES = {
    RunStatus.COMPLETED: "green",
    RunStatus.FAILED: "red",
    RunStatus.CANCELLED: "yellow",
    RunStatus.IN_PROGRESS: "cyan",
    RunStatus.QUEUED: "blue",
}
_MOST_RUNS = 1000
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, in the API's own shape.")]


@app.command("list")
def list_tasks(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    search: Annotated[str | None, typer.Option(help="Only those with this in title, description or number.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List tasks, newest first, with how their latest runs stand."""
    with connect() as client:
        tasks = client.list_tasks(limit=limit, search=search)
    if as_json:
        print(json.dumps([task.raw for task in tasks], ensure_ascii=False))
        return
    if not tasks:
        hint = command_line("run", "What the agent shall do", "--repo", ".")
        output().print("No task fits." if search else f"There is no task yet. Make one: {hint}", soft_wrap=True)
        return
    output().print(_table(tasks, datetime.now(UTC)))


@app.command("show")
def show_task(
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task: its slug or its id.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Show one task with its runs."""
    with connect() as client:
        found = find_task(client, task)
        runs = client.list_runs(found, limit=_MOST_RUNS)
    if as_json:
        print(json.dumps({**found.raw, "runs": [run.raw for run in runs]}, ensure_ascii=False))
        return
    console = output()
    console.print(Text.assemble((found.slug, "bold cyan"), "  ", (one_line(found.title), "bold")), soft_wrap=True)
    if found.repository:
        console.print(Text(one_line(found.repository), "dim"), soft_wrap=True)
    if found.description.strip() and found.description.strip() != found.title:
        console.print()
        for line in message(safe(found.description).strip()):
            console.print(line, soft_wrap=True)
    console.print()
    if runs:
        console.print(_runs_table(runs, datetime.now(UTC)))
        console.print(f"\n{marks_for(console).prompt} {command_line('logs', short(runs[0].id))}", style="cyan", soft_wrap=True)
    else:
        console.print("It has no run yet.", style="dim")


def _table(tasks: Sequence[Task], now: datetime) -> Table:
    table = _bare_table("TASK", "TITLE", "REPOSITORY", "STATUS", "AGE", wide="TITLE")
    for task in tasks:
        status = _status(task.latest_run)
        table.add_row(
            Text(task.slug, "bold"), one_line(task.title, 80), one_line(task.repository or "", 60), status, age(now - task.created_at)
        )
    return table


def _runs_table(runs: Sequence[Run], now: datetime) -> Table:
    table = _bare_table("RUN", "STATUS", "AGENT", "BRANCH", "AGE", wide="BRANCH")
    for run in runs:
        output_branch = run.output.get("head_branch") if isinstance(run.output, dict) else None
        branch = one_line(output_branch or run.branch or "", 80)
        table.add_row(
            Text(short(run.id), "bold"), _status(run), one_line(run.state.get("runtime_adapter") or ""), branch, age(now - run.created_at)
        )
    return table


def _bare_table(*columns: str, wide: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ellipsis", ratio=1 if column == wide else None)
    return table


def _status(run: Run | None) -> Text:
    if run is None:
        return Text("no run", "dim")
    place = run.queue_position if run.status is RunStatus.QUEUED else None
    words = run.status.value.replace("_", " ") if place is None else f"waiting, {ordinal(place)} in line"
    return Text(words, STATUS_STYLES.get(run.status, "dim"))


def age(span: timedelta) -> str:
    """How long ago, in the one unit that tells."""
    seconds = max(int(span.total_seconds()), 0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
