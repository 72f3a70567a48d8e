"""`hedgerow admin …`: people, projects, keys and migrations. Works while hedgerow runs, or not."""

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

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


@admin.command("set-project")
def set_project(
    project: Annotated[int, typer.Option(help="The project's id.", show_default=False)],
    proactive_tasks: Annotated[bool | None, typer.Option(help="Whether tasks are suggested out of what is captured.")] = None,
    session_recording: Annotated[bool | None, typer.Option(help="Whether sessions are recorded.")] = None,
    exception_capture: Annotated[bool | None, typer.Option(help="Whether exceptions are captured.")] = None,
    as_json: Json = False,
) -> None:
    """Say what is turned on in a project, which the readiness of its repositories depends on. What is not named stays."""
    wanted = {"proactive_tasks": proactive_tasks, "session_recording": session_recording, "exception_capture": exception_capture}

    async def turn(backends: Any) -> dict[str, Any]:
        from dataclasses import asdict

        from hedgerow.operations import projects

        changed = await projects.turn_switches(backends, project, {name: on for name, on in wanted.items() if on is not None})
        return {"id": changed.id, "name": changed.name, **asdict(changed.switches)}

    made = _do(turn)
    shown = ", ".join(f"{switch.replace('_', ' ')} {'on' if made[switch] else 'off'}" for switch in wanted)
    _say(made, as_json, f"{{name}}: {shown}.")


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
