"""`hedgerow admin …`: the commands by which an operator looks after a hedgerow, whether it runs or not."""

from collections.abc import Callable, Mapping

import typer

from hedgerow.cli.admin import database, integrations, machines, people, projects, record

app = typer.Typer(no_args_is_help=True, help="People, projects, keys, integrations, the record of who did what, and migrations.")

_COMMANDS: Mapping[str, Mapping[str, Callable[..., None]]] = {
    "People and keys": {
        "create-user": people.create_user,
        "add-member": people.add_member,
        "remove-member": people.remove_member,
        "create-key": people.create_key,
        "list-keys": people.list_keys,
        "revoke-key": people.revoke_key,
    },
    "Projects": {
        "create-project": projects.create_project,
        "set-project": projects.set_project,
    },
    "GitHub and Slack": {
        "connect-github": integrations.connect_github,
        "link-github": integrations.link_github,
        "unlink-github": integrations.unlink_github,
        "connect-slack": integrations.connect_slack,
        "disconnect-slack": integrations.disconnect_slack,
        "map-slack-thread": integrations.map_slack_thread,
        "list-integrations": integrations.list_integrations,
        "disconnect": integrations.disconnect,
    },
    "The hedgerow itself": {
        "audit": record.show_audit,
        "nodes": machines.list_nodes,
        "migrate": database.migrate,
    },
}
for _panel, _commands in _COMMANDS.items():
    for _name, _command in _commands.items():
        app.command(_name, rich_help_panel=_panel)(_command)
