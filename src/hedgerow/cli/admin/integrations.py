"""What projects are connected with, and whom people are on GitHub."""

import json
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from hedgerow.cli.admin.doing import Email, Json, Project, do, say
from hedgerow.cli.safe_text import safe
from hedgerow.cli.secrets import read_secret

_GITHUB_TOKEN = "HEDGEROW_GITHUB_TOKEN"  # noqa: S105 - the name of a variable

TokenFile = Annotated[
    Path | None, typer.Option(help="A file that holds the token.", show_default="the variable HEDGEROW_GITHUB_TOKEN, else stdin")
]


def list_integrations(project: Project, as_json: Json = False) -> None:
    """Print what a project is connected with.

    No secret is shown.
    """

    async def find(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import integrations

        found = await integrations.of_project(backends, project)
        return {"results": [{"id": one.id, "kind": one.kind.value, "name": one.display_name, "config": one.config} for one in found]}

    listed = do(find)
    if as_json:
        print(json.dumps(listed))
        return
    for one in listed["results"]:
        print(one["id"], one["kind"], safe(one["name"]), sep="\t")


def connect_github(
    project: Project,
    token_file: TokenFile = None,
    installation: Annotated[
        str | None, typer.Option(help="The id of an installation of the operator's GitHub App, instead of a token.", show_default=False)
    ] = None,
    name: Annotated[str, typer.Option(help="How the integration is shown.", show_default="the account on GitHub")] = "",
    as_json: Json = False,
) -> None:
    """Connect a project with GitHub.

    The token is stored encrypted, after GitHub was asked whose it is.
    """
    token = None if installation is not None else read_secret(_GITHUB_TOKEN, token_file, "Token of GitHub: ")

    async def connect(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import github

        made = await github.connect(backends, project, token=token, installation_id=installation, name=name)
        return {"id": made.id, "project": project, "account": made.config["account"]["name"], "name": made.display_name}

    say(do(connect), as_json, "Project {project} is connected with GitHub as {account}, with integration {id}.")


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

    say(do(forget), as_json, "Integration {id} of project {project} is forgotten.")


def link_github(email: Email, token_file: TokenFile = None, as_json: Json = False) -> None:
    """Link a person with their own GitHub account.

    The token, which is theirs, is stored encrypted, in the place of an earlier one.
    """
    token = read_secret(_GITHUB_TOKEN, token_file, "Token of GitHub: ")

    async def link(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import github

        linked = await github.link(backends, email=email, token=token)
        return {"id": str(linked.id), "email": email, "login": linked.account.login}

    say(do(link), as_json, "{email} is linked with the GitHub account {login}.")


def unlink_github(email: Email, as_json: Json = False) -> None:
    """Forget a person's GitHub account, with its token."""

    async def unlink(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import github

        await github.unlink(backends, email=email)
        return {"email": email}

    say(do(unlink), as_json, "The GitHub account of {email} is forgotten.")


def connect_slack(
    project: Project,
    token_file: Annotated[
        Path | None, typer.Option(help="A file that holds the bot token.", show_default="the variable SLACK_BOT_TOKEN, else stdin")
    ] = None,
    as_json: Json = False,
) -> None:
    """Give a project a bot token of Slack of its own.

    It is stored encrypted, in the place of an earlier one.
    """
    token = read_secret("SLACK_BOT_TOKEN", token_file, "Bot token of Slack: ")

    async def connect(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import slack

        made = await slack.connect_slack(backends, project_id=project, token=token)
        return {"id": made.id, "project": project, "workspace": made.display_name}

    say(do(connect), as_json, "Project {project} is connected with Slack: {workspace}.")


def disconnect_slack(project: Project, as_json: Json = False) -> None:
    """Forget a project's own bot token of Slack."""

    async def disconnect(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import slack

        return {"project": project, "forgotten": await slack.disconnect_slack(backends, project_id=project)}

    say(do(disconnect), as_json, "Project {project} has no Slack token of its own any more.")


def map_slack_thread(
    project: Project,
    task: Annotated[UUID, typer.Option(help="The task's id.", show_default=False)],
    url: Annotated[str, typer.Option(help="The permalink of a message of the thread.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Have the runs of a task told in a Slack thread.

    It takes the place of an earlier one.
    """

    async def map_it(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import slack

        mapped = await slack.map_thread_of_task(backends, project_id=project, task_id=task, url=url)
        return {"task": str(task), "channel": mapped.thread.channel, "thread_ts": mapped.thread.ts}

    say(do(map_it), as_json, "Task {task} is told in the thread {thread_ts} of channel {channel}.")
