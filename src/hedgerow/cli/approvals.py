"""`hedgerow approvals`: what agents ask leave for, and wait."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from hedgerow.cli.connect import connect, output
from hedgerow.cli.finding import find_run, short
from hedgerow.cli.program import command_line
from hedgerow.cli.questions import question_of
from hedgerow.cli.safe_text import one_line
from hedgerow.cli.talk import RUN_HELP
from hedgerow.cli.tasks import age
from hedgerow.client import PermissionRequest

app = typer.Typer()
_MOST = 1000
_WAITING = "waiting"


@app.command()
def approvals(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help=f"{RUN_HELP} Without it: of all runs.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that were answered or that nobody can answer any more.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, in the API's own shape.")] = False,
) -> None:
    """List what agents ask leave for and wait, oldest first."""
    state = None if everything else _WAITING
    with connect() as client:
        if run is None:
            found = client.list_project_permission_requests(state=state, limit=_MOST)
        else:
            found = client.list_permission_requests(find_run(client, run)[1], state=state, limit=_MOST)
    if as_json:
        print(json.dumps([request.raw for request in found], ensure_ascii=False))
        return
    console = output()
    if not found:
        console.print("No agent has asked for anything." if everything else "No agent waits for an answer.", soft_wrap=True)
        return
    console.print(_table(found, datetime.now(UTC)))
    waiting = next((request for request in found if request.state == _WAITING and request.options), None)
    if waiting is not None:
        option = one_line(waiting.options[0].get("optionId"), 40)
        console.print(f"\nAnswer: {command_line('answer', short(waiting.run_id), option)}", style="cyan", soft_wrap=True, markup=False)


def _table(requests: Sequence[PermissionRequest], now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("RUN", no_wrap=True)
    table.add_column("WHAT", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("ANSWERS", overflow="fold")
    table.add_column("STATE", no_wrap=True)
    table.add_column("ASKED", no_wrap=True)
    for request in requests:
        question = question_of(request)
        options = ", ".join(one_line(option.id, 40) for option in question.options)
        table.add_row(Text(short(request.run_id), "bold"), question.title, Text(options), _state(request, now), age(now - request.asked_at))
    return table


def _state(request: PermissionRequest, now: datetime) -> Text:
    if request.state != _WAITING:
        return Text(one_line(f"{request.state} {request.option_id or ''}", 60), "dim")
    left = "" if request.deadline is None else f", {age(request.deadline - now)} left"
    return Text(f"waiting{left}", "yellow")
