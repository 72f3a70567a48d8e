"""The record of who did what."""

import json
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from hedgerow.cli.admin.doing import Json, do
from hedgerow.cli.safe_text import safe

if TYPE_CHECKING:
    from hedgerow.domain.audit import AuditEntry


def show_audit(
    project: Annotated[int | None, typer.Option(help="Only what concerns this project.", show_default="everything")] = None,
    limit: Annotated[int, typer.Option(help="How many entries at most.", min=1, max=1000)] = 100,
    as_json: Json = False,
) -> None:
    """Show who did what, newest first."""

    async def find(backends: Any) -> dict[str, Any]:
        from hedgerow.domain.audit import AuditFilters
        from hedgerow.operations import audit
        from hedgerow.operations.pages import Paging

        found = await audit.read_whole_audit(backends, AuditFilters(project_id=project), Paging(limit=limit))
        return {"count": found.count, "entries": [_entry(entry) for entry in found.items]}

    found = do(find)
    if as_json:
        print(json.dumps(found))
        return
    for entry in found["entries"]:
        who = entry["email"] or entry["acting_run"] or ""
        where = " ".join(f"{name} {entry[name]}" for name in ("project", "task", "run", "subject") if entry[name] is not None)
        detail = " ".join(f"{name}={value}" for name, value in entry["detail"].items())
        print(safe(f"{entry['at']}  {' '.join(filter(None, (entry['actor'], who)))}  {entry['action']}  {where}  {detail}".rstrip()))


def _entry(entry: "AuditEntry") -> dict[str, Any]:
    note = entry.note
    return {
        "id": entry.number,
        "at": note.at.isoformat(),
        "actor": note.actor.value,
        "user_id": note.user_id,
        "email": None if entry.user is None else entry.user.email,
        "key": _text(note.key_id),
        "acting_run": _text(note.acting_run_id),
        "action": note.action.value,
        "project": note.project_id,
        "task": _text(note.task_id),
        "run": _text(note.run_id),
        "subject": note.subject,
        "detail": dict(note.detail),
        "request_id": note.request_id,
    }


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
