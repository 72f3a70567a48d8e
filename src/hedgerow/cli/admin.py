"""`hedgerow admin …`: people, projects, keys, integrations and migrations. Works while hedgerow runs, or not."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from hedgerow.cli.secrets import read_secret

admin = typer.Typer(no_args_is_help=True, help="Users, projects, keys, integrations and migrations.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Project = Annotated[int, typer.Option(help="The project's id.", show_default=False)]
TokenFile = Annotated[
    Path | None, typer.Option(help="A file that holds the token.", show_default="the variable HEDGEROW_GITHUB_TOKEN, else stdin")
]
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


@admin.command("connect-slack")
def connect_slack(
    project: Annotated[int, typer.Option(help="The project's id.", show_default=False)],
    token_file: Annotated[
        Path | None, typer.Option(help="A file that holds the bot token.", show_default="the variable SLACK_BOT_TOKEN, else stdin")
    ] = None,
    as_json: Json = False,
) -> None:
    """Give a project a bot token of Slack of its own, in the place of an earlier one. It is stored encrypted."""
    token = read_secret("SLACK_BOT_TOKEN", token_file, "Bot token of Slack: ")

    async def connect(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import slack

        made = await slack.connect_slack(backends, project_id=project, token=token)
        return {"id": made.id, "project": project, "workspace": made.display_name}

    _say(_do(connect), as_json, "Project {project} is connected with Slack: {workspace}.")


@admin.command("disconnect-slack")
def disconnect_slack(project: Annotated[int, typer.Option(help="The project's id.", show_default=False)], as_json: Json = False) -> None:
    """Forget a project's own bot token of Slack."""

    async def disconnect(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import slack

        return {"project": project, "forgotten": await slack.disconnect_slack(backends, project_id=project)}

    _say(_do(disconnect), as_json, "Project {project} has no Slack token of its own any more.")


@admin.command("map-slack-thread")
def map_slack_thread(
    project: Annotated[int, typer.Option(help="The project's id.", show_default=False)],
    task: Annotated[UUID, typer.Option(help="The task's id.", show_default=False)],
    url: Annotated[str, typer.Option(help="The permalink of a message of the thread.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Have the runs of a task told in a Slack thread, in the place of an earlier one."""

    async def map_it(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import slack

        mapped = await slack.map_thread_of_task(backends, project_id=project, task_id=task, url=url)
        return {"task": str(task), "channel": mapped.thread.channel, "thread_ts": mapped.thread.ts}

    _say(_do(map_it), as_json, "Task {task} is told in the thread {thread_ts} of channel {channel}.")


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


@admin.command("connect-github")
def connect_github(
    project: Project,
    token_file: TokenFile = None,
    installation: Annotated[
        str | None, typer.Option(help="The id of an installation of the operator's GitHub App, instead of a token.", show_default=False)
    ] = None,
    name: Annotated[str, typer.Option(help="How the integration is shown.", show_default="the account on GitHub")] = "",
    as_json: Json = False,
) -> None:
    """Connect a project with GitHub. The token is stored encrypted, after GitHub was asked whose it is."""
    token = None if installation is not None else read_secret(_GITHUB_TOKEN, token_file, "Token of GitHub: ")

    async def connect(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import github

        made = await github.connect(backends, project, token=token, installation_id=installation, name=name)
        return {"id": made.id, "project": project, "account": made.config["account"]["name"], "name": made.display_name}

    _say(_do(connect), as_json, "Project {project} is connected with GitHub as {account}, with integration {id}.")


@admin.command("list-integrations")
def list_integrations(project: Project, as_json: Json = False) -> None:
    """Print what a project is connected with. No secret is shown."""

    async def find(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import integrations

        found = await integrations.of_project(backends, project)
        return {"results": [{"id": one.id, "kind": one.kind.value, "name": one.display_name, "config": one.config} for one in found]}

    listed = _do(find)
    if as_json:
        print(json.dumps(listed))
        return
    for one in listed["results"]:
        print(f"{one['id']}\t{one['kind']}\t{one['name']}")


@admin.command()
def disconnect(
    project: Project,
    integration: Annotated[int, typer.Option(help="The integration's id.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Forget an integration of a project, with its secret."""

    async def forget(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import integrations

        await integrations.disconnect(backends, project, integration)
        return {"id": integration, "project": project}

    _say(_do(forget), as_json, "Integration {id} of project {project} is forgotten.")


@admin.command("link-github")
def link_github(email: Email, token_file: TokenFile = None, as_json: Json = False) -> None:
    """Link a person with their own GitHub account, through a token of theirs. It is stored encrypted, in the place of an earlier one."""
    token = read_secret(_GITHUB_TOKEN, token_file, "Token of GitHub: ")

    async def link(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import github

        linked = await github.link(backends, email=email, token=token)
        return {"id": str(linked.id), "email": email, "login": linked.account.login}

    _say(_do(link), as_json, "{email} is linked with the GitHub account {login}.")


@admin.command("unlink-github")
def unlink_github(email: Email, as_json: Json = False) -> None:
    """Forget a person's GitHub account, with its token."""

    async def unlink(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import github

        await github.unlink(backends, email=email)
        return {"email": email}

    _say(_do(unlink), as_json, "The GitHub account of {email} is forgotten.")


_GITHUB_TOKEN = "HEDGEROW_GITHUB_TOKEN"  # noqa: S105 - the name of a variable


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
