"""`hedgerow admin …`: people, projects, keys and migrations. Works while hedgerow runs, or not."""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from hedgerow.cli.errors import UsageError
from hedgerow.cli.safe_text import safe

if TYPE_CHECKING:
    from hedgerow.domain.access import PersonalKey, User
    from hedgerow.domain.audit import AuditEntry

admin = typer.Typer(no_args_is_help=True, help="Users, projects, keys and migrations.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Email = Annotated[str, typer.Option(help="The person's address.", show_default=False)]


@admin.command("create-user")
def create_user(email: Email, name: Annotated[str, typer.Option(help="How the person is called.")] = "", as_json: Json = False) -> None:
    """Make a person. Give them a key with create-key, and a project with add-member."""

    async def create(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import accounts

        user = await accounts.create_user(backends, email=email, name=name)
        return {"id": user.id, "uuid": str(user.uuid), "email": user.email}

    _say(_do(create), as_json, "Made user {email}, with id {id}.")


@admin.command("create-project")
def create_project(name: Annotated[str, typer.Option(help="The project's name.", show_default=False)], as_json: Json = False) -> None:
    """Make a project."""

    async def create(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import accounts

        project = await accounts.create_project(backends, name=name)
        return {"id": project.id, "uuid": str(project.uuid), "name": project.name}

    _say(_do(create), as_json, "Made project {name}, with id {id}.")


@admin.command("add-member")
def add_member(
    email: Email, project: Annotated[int, typer.Option(help="The project's id.", show_default=False)], as_json: Json = False
) -> None:
    """Let a person into a project."""

    async def add(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import accounts

        user = await accounts.add_member(backends, email=email, project_id=project)
        return {"id": user.id, "email": user.email, "project": project}

    _say(_do(add), as_json, "{email} is a member of project {project}.")


@admin.command("create-key")
def create_key(
    email: Email,
    scope: Annotated[list[str], typer.Option(help="What it may: task:read, task:write or *; several times.", show_default=False)],
    project: Annotated[
        list[int] | None, typer.Option(help="Only these projects; several times.", show_default="all of the person's")
    ] = None,
    label: Annotated[str, typer.Option(help="What it is for.")] = "made by the operator",
    as_json: Json = False,
) -> None:
    """Make a personal key. Its value is shown this once; only a hash of it is kept."""

    async def create(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import accounts

        key, value = await accounts.create_key(backends, email=email, label=label, scopes=scope, project_ids=project or None)
        return {"id": str(key.id), "value": value, "label": label, "scopes": list(scope)}

    _say(_do(create), as_json, "{value}")


@admin.command("list-keys")
def list_keys(
    email: Annotated[str | None, typer.Option(help="Only this person's.", show_default="everybody's")] = None, as_json: Json = False
) -> None:
    """List personal keys, newest first. Their values are kept nowhere."""

    async def find(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import accounts

        return {"keys": [_key(key, user) for key, user in await accounts.list_keys(backends, email=email)]}

    found = _do(find)
    if as_json:
        print(json.dumps(found))
        return
    for key in found["keys"]:
        reach = "all projects" if key["projects"] is None else f"projects {', '.join(map(str, key['projects']))}"
        used = f"last used {key['last_used_at']}" if key["last_used_at"] else "never used"
        print(f"{key['id']}  {safe(key['email'])}  {safe(key['label'])}  {' '.join(key['scopes'])}  {reach}  {used}")


@admin.command("revoke-key")
def revoke_key(
    key: Annotated[str, typer.Argument(help="The key's id, as list-keys shows it.", metavar="ID")], as_json: Json = False
) -> None:
    """Make a personal key worthless, also for servers that run. Streams that were opened with it end."""
    key_id = _uuid(key)

    async def revoke(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import accounts

        return _key(*await accounts.revoke_key(backends, key_id))

    _say(_do(revoke), as_json, "Revoked the key {id} of {email}.")


@admin.command("remove-member")
def remove_member(
    email: Email, project: Annotated[int, typer.Option(help="The project's id.", show_default=False)], as_json: Json = False
) -> None:
    """End a person's membership in a project. Their keys stay, but lead into it no more."""

    async def remove(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import accounts

        user = await accounts.remove_member(backends, email=email, project_id=project)
        return {"id": user.id, "email": user.email, "project": project}

    _say(_do(remove), as_json, "{email} is no member of project {project} any more.")


@admin.command("audit")
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

    found = _do(find)
    if as_json:
        print(json.dumps(found))
        return
    for entry in found["entries"]:
        who = entry["email"] or entry["acting_run"] or ""
        where = " ".join(f"{name} {entry[name]}" for name in ("project", "task", "run", "subject") if entry[name] is not None)
        detail = " ".join(f"{name}={value}" for name, value in entry["detail"].items())
        print(safe(f"{entry['at']}  {' '.join(filter(None, (entry['actor'], who)))}  {entry['action']}  {where}  {detail}".rstrip()))


@admin.command()
def migrate() -> None:
    """Bring the database to the version of this hedgerow, and do nothing else."""
    import asyncio

    from hedgerow.cli.operator import read_settings

    settings = read_settings()

    async def bring_up_to_date() -> None:
        from hedgerow.app import open_database
        from hedgerow.local_files import make_data_dir

        make_data_dir(settings.data_dir)
        async with open_database(settings):
            pass

    asyncio.run(bring_up_to_date())
    print("The database is up to date.")


def _do(work: Callable[[Any], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Open the house, do one thing in it and close it again."""
    import asyncio

    from hedgerow.app import open_house
    from hedgerow.cli.operator import read_settings

    settings = read_settings()

    async def do() -> dict[str, Any]:
        async with open_house(settings) as house:
            return await work(house.backends)

    return asyncio.run(do())


def _say(made: dict[str, Any], as_json: bool, sentence: str) -> None:
    print(json.dumps(made) if as_json else sentence.format(**made))


def _key(key: "PersonalKey", user: "User") -> dict[str, Any]:
    return {
        "id": str(key.id),
        "email": user.email,
        "label": key.label,
        "scopes": sorted(key.scopes),
        "projects": None if key.project_ids is None else sorted(key.project_ids),
        "created_at": key.created_at.isoformat(),
        "last_used_at": None if key.last_used_at is None else key.last_used_at.isoformat(),
    }


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


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise UsageError(f"{text!r} is no id of a key: list-keys shows them.") from None
