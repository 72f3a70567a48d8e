"""People and their keys."""

import json
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from hedgerow.cli.admin.doing import Email, Json, Project, do, say
from hedgerow.cli.errors import UsageError
from hedgerow.cli.safe_text import safe

if TYPE_CHECKING:
    from hedgerow.domain.access import PersonalKey, User


def create_user(email: Email, name: Annotated[str, typer.Option(help="How the person is called.")] = "", as_json: Json = False) -> None:
    """Make a person.

    Give them a key with create-key, and a project with add-member.
    """

    async def create(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import accounts

        user = await accounts.create_user(backends, email=email, name=name)
        return {"id": user.id, "uuid": str(user.uuid), "email": user.email}

    say(do(create), as_json, "Made user {email}, with id {id}.")


def add_member(email: Email, project: Project, as_json: Json = False) -> None:
    """Let a person into a project."""

    async def add(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import accounts

        user = await accounts.add_member(backends, email=email, project_id=project)
        return {"id": user.id, "email": user.email, "project": project}

    say(do(add), as_json, "{email} is a member of project {project}.")


def remove_member(email: Email, project: Project, as_json: Json = False) -> None:
    """End a person's membership in a project.

    Their keys stay, but lead into it no more.
    """

    async def remove(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import accounts

        user = await accounts.remove_member(backends, email=email, project_id=project)
        return {"id": user.id, "email": user.email, "project": project}

    say(do(remove), as_json, "{email} is no member of project {project} any more.")


def create_key(
    email: Email,
    scope: Annotated[list[str], typer.Option(help="What it may: task:read, task:write or *; several times.", show_default=False)],
    project: Annotated[
        list[int] | None, typer.Option(help="Only these projects; several times.", show_default="all of the person's")
    ] = None,
    label: Annotated[str, typer.Option(help="What it is for.")] = "made by the operator",
    as_json: Json = False,
) -> None:
    """Make a personal key.

    Its value is shown this once; only a hash of it is kept.
    """

    async def create(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import accounts

        key, value = await accounts.create_key(backends, email=email, label=label, scopes=scope, project_ids=project or None)
        return {"id": str(key.id), "value": value, "label": label, "scopes": list(scope)}

    say(do(create), as_json, "{value}")


def list_keys(
    email: Annotated[str | None, typer.Option(help="Only this person's.", show_default="everybody's")] = None, as_json: Json = False
) -> None:
    """List personal keys, newest first.

    Their values are kept nowhere.
    """

    async def find(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import accounts

        return {"keys": [_key(key, user) for key, user in await accounts.list_keys(backends, email=email)]}

    found = do(find)
    if as_json:
        print(json.dumps(found))
        return
    for key in found["keys"]:
        reach = "all projects" if key["projects"] is None else f"projects {', '.join(map(str, key['projects']))}"
        used = f"last used {key['last_used_at']}" if key["last_used_at"] else "never used"
        print(f"{key['id']}  {safe(key['email'])}  {safe(key['label'])}  {' '.join(key['scopes'])}  {reach}  {used}")


def revoke_key(
    key: Annotated[str, typer.Argument(help="The key's id, as list-keys shows it.", metavar="ID")], as_json: Json = False
) -> None:
    """Make a personal key worthless, also for servers that run.

    Streams that were opened with it end.
    """
    key_id = _uuid(key)

    async def revoke(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import accounts

        return _key(*await accounts.revoke_key(backends, key_id))

    say(do(revoke), as_json, "Revoked the key {id} of {email}.")


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


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise UsageError(f"{text!r} is no id of a key: list-keys shows them.") from None
