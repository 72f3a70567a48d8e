"""`hedgerow run`: a task, a run, and a look at it from beginning to end."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from hedgerow.cli import repository_choice
from hedgerow.cli.connect import connect, output, remarks
from hedgerow.cli.errors import UsageError
from hedgerow.cli.finding import short
from hedgerow.cli.follow import follow_run
from hedgerow.cli.program import command_line
from hedgerow.client import Client, ClientError, Run, Task
from hedgerow.client.fields import RunFields
from hedgerow.domain import deadlines
from hedgerow.domain.errors import InvalidError

app = typer.Typer()
_REFUSED = 400

EXIT_CODES = (
    "[bold]Exit codes[/bold]: 0 the run completed; 1 it failed, or could not be started; 2 what was typed makes no sense; "
    "3 it was cancelled; 130 you left it with Ctrl-C, and it goes on."
)

_DEADLINES = {key.removesuffix("_minutes"): key for key in deadlines.DEADLINE_KEYS}


@app.command(epilog=EXIT_CODES)
def run(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What the agent shall do.", show_default=False)],
    repo: Annotated[
        str | None, typer.Option(metavar="PATH|URL|ORG/REPO", help="Where: a folder of this machine (such as .), a clone URL, or org/repo.")
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(help="Who: claude, codex, scripted, or another that the operator has set up. Default: the server's choice."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model; needs --agent. Default: the agent's own.")] = None,
    branch: Annotated[
        str | None, typer.Option(help="The branch to start from. Default: what is checked out, or the default branch.")
    ] = None,
    permission_mode: Annotated[str | None, typer.Option(help="The agent's permission mode; needs --agent.")] = None,
    attach: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, readable=True, help="A file that the agent gets; may be given again."),
    ] = None,
    deadline: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MINUTES",
            help=f"How long the run may take at most: {', '.join(_DEADLINES)}. The server's own limits hold as well; may be given again.",
        ),
    ] = None,
    interactive: Annotated[bool, typer.Option("--interactive", "-i", help="Stay for further messages after the first turn.")] = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Start the run and return at once.")] = False,
    include_changes: Annotated[
        bool,
        typer.Option("--include-changes", help="Hand over the uncommitted changes of a local folder; index and branches stay as they are."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the run as JSON at its end; everything else goes to stderr.")] = False,
) -> None:
    """Give an agent a task and watch it work.

    Ctrl-C asks the agent to stop; a second Ctrl-C leaves the run to itself.
    """
    if not prompt.strip():
        raise UsageError("The prompt is empty.")
    draft = _draft(agent, model, permission_mode, interactive) | _deadlines(deadline or [])
    console = remarks() if as_json else output()
    with connect() as client:
        task = _start(client, prompt, _Place(repo, branch, include_changes), attach or [], draft)
        assert task.latest_run is not None
        if detach:
            _say_started(task, task.latest_run, console, as_json)
            return
        code = follow_run(client, task.latest_run, console)
        if as_json:
            _print_json(task, client.retrieve_run(task.latest_run))
    raise typer.Exit(code)


def _draft(agent: str | None, model: str | None, permission_mode: str | None, interactive: bool) -> RunFields:
    """The body of run/ but for what the repository adds. The API wants a model wherever an agent is named."""
    draft: RunFields = {"mode": "interactive" if interactive else "background"}
    if agent is None:
        if model is not None or permission_mode is not None:
            raise UsageError(f"{'--model' if model is not None else '--permission-mode'} needs --agent: each agent has its own.")
        return draft
    draft |= {"runtime_adapter": agent, "model": model or "default"}
    if permission_mode:
        draft["initial_permission_mode"] = permission_mode
    return draft


def _deadlines(given: list[str]) -> RunFields:
    found: dict[str, float] = {}
    for text in given:
        name, _, minutes = text.partition("=")
        if name not in _DEADLINES:
            raise UsageError(f"--deadline {text}: there is no such deadline; there are {', '.join(_DEADLINES)}.")
        try:
            found[_DEADLINES[name]] = float(minutes)
            deadlines.check(found)
        except (ValueError, InvalidError):
            raise UsageError(f"--deadline {text}: after the = stands a number of minutes above 0.") from None
    return cast("RunFields", found)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the agent works, as it was typed."""

    repo: str | None
    branch: str | None
    include_changes: bool


def _start(client: Client, prompt: str, place: _Place, attachments: list[Path], draft: RunFields) -> Task:
    choice = _choose(client, place)
    task = client.create_task(description=prompt, repository=choice.name if choice else None)
    if choice and choice.base:
        draft["branch"] = choice.base
    possible = False
    try:
        if attachments:
            draft["pending_user_artifact_ids"] = [_attach(client, task, path) for path in attachments]
        possible = True
        return client.run_task(task, **draft)
    except BaseException as error:
        if not possible or (isinstance(error, ClientError) and error.status == _REFUSED):
            with suppress(ClientError):
                client.delete_task(task)  # there is no run, so nobody needs the task
        raise


def _choose(client: Client, place: _Place) -> repository_choice.Choice | None:
    if place.repo is None:
        if place.branch is not None or place.include_changes:
            raise UsageError(f"{'--branch' if place.branch is not None else '--include-changes'} needs --repo.")
        return None
    return repository_choice.choose(client, place.repo, branch=place.branch, include_changes=place.include_changes, console=remarks())


def _attach(client: Client, task: Task, path: Path) -> str:
    """Keep a file for the run that is about to start; its id. A refusal names the file, rather than the field of a call."""
    try:
        staged = client.stage_artifact(task, path).id
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except ClientError as error:
        if error.attr is None:
            raise
        sentence = error.message.removeprefix(f"{error.attr}: ")
        raise ClientError(f"{path.name}: {sentence}", status=error.status, code=error.code) from error
    assert staged is not None, "only artifacts of old have no id"
    return staged


def _say_started(task: Task, started: Run, console: Console, as_json: bool) -> None:
    if as_json:
        _print_json(task, started)
        return
    console.print(f"{task.slug} is queued as run {short(started.id)}.", soft_wrap=True)
    console.print(f"  follow it   {command_line('logs', short(started.id), '-f')}", soft_wrap=True)
    console.print(f"  cancel it   {command_line('cancel', short(started.id))}", soft_wrap=True)


def _print_json(task: Task, run: Run) -> None:
    shown = {"task_id": task.id, "slug": task.slug, "title": task.title, "repository": task.repository, "run_id": run.id}
    fields = ("status", "branch", "output", "error_message", "created_at", "completed_at")
    reason = run.state.get("end_reason")
    print(json.dumps(shown | {name: run.raw.get(name) for name in fields} | {"end_reason": reason}, ensure_ascii=False))
