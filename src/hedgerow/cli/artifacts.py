"""`hedgerow artifacts`: the files of a run, listed or downloaded."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from hedgerow.cli.connect import connect, output
from hedgerow.cli.errors import UsageError
from hedgerow.cli.finding import find_run
from hedgerow.cli.safe_text import one_line
from hedgerow.cli.talk import RunArgument
from hedgerow.cli.tasks import age
from hedgerow.client import Artifact, Client, Run
from hedgerow.domain.artifacts import file_name
from hedgerow.domain.checkpoints import SOURCE

app = typer.Typer()
_MOST_NAMES = 1000
_UNITS = ("B", "kB", "MB", "GB")


@app.command()
def artifacts(
    run: RunArgument,
    download: Annotated[
        Path | None, typer.Option(metavar="DIR", file_okay=False, help="Write them into this folder; no file of it is replaced.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, in the API's own shape.")] = False,
) -> None:
    """List the artifacts of a run: what was attached to it, and what its agent has handed in."""
    with connect() as client:
        _, found = find_run(client, run)
        found = client.retrieve_run(found)
        if as_json:
            print(json.dumps([artifact.raw for artifact in found.artifacts], ensure_ascii=False))
        elif not _shown(found):
            output().print("The run has no artifacts.", soft_wrap=True)
        elif download is None:
            output().print(_table(_shown(found), datetime.now(UTC)))
        if download is not None:
            _download(client, found, download, quiet=as_json)


def _shown(run: Run) -> list[Artifact]:
    """The artifacts of a run without those that hold checkpoints of its files, which are for programs."""
    return [artifact for artifact in run.artifacts if artifact.source != SOURCE]


def _download(client: Client, run: Run, folder: Path, *, quiet: bool) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for artifact in _shown(run):
            written = client.download_artifact(run, artifact, to=_free(folder, artifact.name))
            if not quiet:
                output().print(one_line(str(written)), soft_wrap=True)
    except OSError as error:
        raise UsageError(f"{error.filename or folder} cannot be written: {error.strerror}.") from error


def _free(folder: Path, name: str) -> Path:
    """A path in the folder at which nothing lies: names of artifacts are the agent's choice."""
    path = folder / file_name(name)
    for number in range(2, _MOST_NAMES):
        if not path.exists() and not path.is_symlink():
            return path
        path = path.with_name(f"{Path(file_name(name)).stem}-{number}{path.suffix}")
    raise UsageError(f"{folder} has too many files named like {one_line(name, 80)!r}.")


def _table(artifacts: Sequence[Artifact], now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("NAME", "TYPE", "SIZE", "AGE"):
        table.add_column(column, no_wrap=True, overflow="ellipsis", ratio=1 if column == "NAME" else None)
    for artifact in artifacts:
        since = "" if artifact.uploaded_at is None else age(now - artifact.uploaded_at)
        table.add_row(Text(one_line(artifact.name, 80), "bold"), one_line(artifact.type, 20), _size(artifact.size), since)
    return table


def _size(size: int | None) -> str:
    """A number of bytes for people: at most three digits before the unit."""
    if size is None:
        return ""
    shown, unit = float(size), 0
    while shown >= 999.5 and unit < len(_UNITS) - 1:
        shown, unit = shown / 1000, unit + 1
    return f"{shown:.0f} {_UNITS[unit]}" if unit == 0 or shown >= 10 else f"{shown:.1f} {_UNITS[unit]}"
