"""`hedgerow up`, `api`, `worker` and `settings`: the commands of whoever runs hedgerow."""

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hedgerow.cli.connect import output
from hedgerow.cli.errors import UsageError
from hedgerow.domain.errors import InvalidError

if TYPE_CHECKING:
    from hedgerow.settings import Settings

app = typer.Typer()

Host = Annotated[str | None, typer.Option(help="The address to listen on.", show_default="HEDGEROW_HOST, or 127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="The port to listen on; 0 takes a free one.", show_default="HEDGEROW_PORT, or 8010")]

Sandbox = Annotated[
    str | None,
    typer.Option(
        help="What agents run in: auto, bubblewrap, or process, which isolates nothing: an agent can read what this account can.",
        show_default="HEDGEROW_SANDBOX, or auto",
    ),
]


@app.command()
def up(
    host: Host = None,
    port: Port = None,
    sandbox: Sandbox = None,
    no_first_task: Annotated[bool, typer.Option("--no-first-task", help="Run no first task on an empty database.")] = False,
) -> None:
    """Start everything: API, worker and database, in this process and its children."""
    settings = read_settings(host=host, port=port, sandbox=sandbox, first_task=False if no_first_task else None)
    from hedgerow.cli import up as commands
    from hedgerow.cli.serving import listen
    from hedgerow.local_files import held_by_us, make_data_dir

    make_data_dir(settings.data_dir)
    with held_by_us(settings.data_dir), closing(listen(settings.host, settings.port)) as listener:
        commands.run(commands.up(settings, listener, output()))


@app.command()
def api(host: Host = None, port: Port = None) -> None:
    """Start the API alone. Any number of them may stand on one database."""
    settings = read_settings(host=host, port=port)
    from hedgerow.cli import up as commands
    from hedgerow.cli.serving import listen

    with closing(listen(settings.host, settings.port)) as listener:
        commands.run(commands.api(settings, listener, output()))


@app.command()
def worker(sandbox: Sandbox = None) -> None:
    """Start a worker alone. One holds the runs of a data directory; a second one waits for its turn."""
    settings = read_settings(sandbox=sandbox)
    from hedgerow.cli import up as commands

    commands.run(commands.worker(settings, output()))


@app.command("settings")
def show_settings() -> None:
    """Print every setting with its value and what it means. Secrets are hidden."""
    from hedgerow.settings import describe

    for setting in describe(read_settings()):
        print(f"{setting.name}={setting.value}")
        print(f"    {setting.sentence}")


def read_settings(**given: Any) -> "Settings":
    """The settings, with logging set up as they say. Raises UsageError naming the variable that is not right."""
    from hedgerow.cli.log_lines import set_up_logging
    from hedgerow.settings import load_settings

    try:
        settings = load_settings(**given)
    except InvalidError as problem:
        raise UsageError(problem.message) from problem
    set_up_logging(settings.log_level, settings.log_format)
    return settings
