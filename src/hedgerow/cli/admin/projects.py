"""Projects."""

from typing import Annotated, Any

import typer

from hedgerow.cli.admin.doing import Json, Project, do, say


def create_project(name: Annotated[str, typer.Option(help="The project's name.", show_default=False)], as_json: Json = False) -> None:
    """Make a project."""

    async def create(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import accounts

        project = await accounts.create_project(backends, name=name)
        return {"id": project.id, "uuid": str(project.uuid), "name": project.name}

    say(do(create), as_json, "Made project {name}, with id {id}.")


def set_project(
    project: Project,
    proactive_tasks: Annotated[bool | None, typer.Option(help="Whether tasks are suggested out of what is captured.")] = None,
    session_recording: Annotated[bool | None, typer.Option(help="Whether sessions are recorded.")] = None,
    exception_capture: Annotated[bool | None, typer.Option(help="Whether exceptions are captured.")] = None,
    as_json: Json = False,
) -> None:
    """Say what is turned on in a project.

    The readiness of its repositories depends on that. What is not named stays.
    """
    wanted = {"proactive_tasks": proactive_tasks, "session_recording": session_recording, "exception_capture": exception_capture}

    async def turn(backends: Any) -> dict[str, Any]:
        from dataclasses import asdict

        from hedgerow.operations import projects

        changed = await projects.turn_switches(backends, project, {name: on for name, on in wanted.items() if on is not None})
        return {"id": changed.id, "name": changed.name, **asdict(changed.switches)}

    made = do(turn)
    shown = ", ".join(f"{switch.replace('_', ' ')} {'on' if made[switch] else 'off'}" for switch in wanted)
    say(made, as_json, f"{{name}}: {shown}.")
