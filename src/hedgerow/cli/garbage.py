"""`hedgerow gc`: what nobody needs any more, listed or removed."""

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hedgerow.cli.operator import read_settings
from hedgerow.cli.safe_text import safe

if TYPE_CHECKING:
    from hedgerow.domain.housekeeping import Removal

app = typer.Typer()

_TITLES: Mapping[str, str] = {
    "journal": "Journal of run",
    "journal_to_archive": "To the archive: journal of run",
    "object": "Object",
    "workspace": "Workspace",
    "mirror": "Mirror",
    "runtime": "Runtime",
    "remains": "Remains",
}


@app.command("gc")
def collect_garbage(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would go.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Remove what nobody needs any more from this machine, the database and the object store. A worker does it by itself, too."""
    settings = read_settings()
    told = asyncio.run(_collect(settings, dry_run))
    total = sum(each["size_bytes"] or 0 for each in told if each["problem"] is None)
    if as_json:
        print(json.dumps({"dry_run": dry_run, "removals": told, "total_bytes": total}))
    else:
        _say(told, total, dry_run)
    if any(each["problem"] is not None for each in told):
        raise typer.Exit(1)


async def _collect(settings: Any, dry_run: bool) -> list[dict[str, Any]]:
    from hedgerow.app import housekeeper, open_house
    from hedgerow.lifecycle import keep_house, plan_now

    async with open_house(settings, may_begin=False) as house:
        node = housekeeper(house)
        removals = await plan_now(node)
        if dry_run:
            return [_told(removal, None) for removal in removals]
        return [_told(outcome.removal, outcome.problem) async for outcome in keep_house(node, removals)]


def _told(removal: "Removal", problem: str | None) -> dict[str, Any]:
    return {
        "kind": removal.kind.value,
        "subject": str(removal.subject),
        "why": removal.why,
        "since": removal.since.isoformat(timespec="seconds"),
        "size_bytes": removal.size_bytes,
        "problem": problem,
    }


def _say(told: list[dict[str, Any]], total: int, dry_run: bool) -> None:
    for each in told:
        size = "size unknown" if each["size_bytes"] is None else f"{each['size_bytes']:,} bytes"
        print(safe(f"{_TITLES[each['kind']]} {each['subject']}"))
        print(safe(f"    {size}, since {each['since']}: {each['why']}"))
        if each["problem"] is not None:
            print(safe(f"    It stays: {each['problem']}"))
    gone = sum(each["problem"] is None for each in told)
    if not told:
        print("There is nothing that may go.")
    else:
        print(f"{gone} {'thing' if gone == 1 else 'things'} {'would go' if dry_run else 'went'}: {human_size(total)}.")


def human_size(size_bytes: int) -> str:
    """A number of bytes for people: `0 B`, `1.5 MB`, in powers of 1000."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    size, units = float(size_bytes), "kMGTPE"
    for unit in units:
        size /= 1000
        if size < 999.95 or unit == units[-1]:
            break
    return f"{size:.1f} {unit}B"
