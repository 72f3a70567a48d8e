"""In which groups the documentation shows the endpoints."""

from hedgerow.api.endpoints import Endpoint

GROUPS: dict[str, str] = {
    "Tasks": "What is wanted.",
    "Runs": "Tries at a task: each is one agent at work in one sandbox.",
    "Messages and commands": "What is said to the agent of a run, and asked of it.",
    "Logs and stream": "Everything that happened in a run: as a whole, by pages, and as it happens.",
    "Artifacts": "Files that go to an agent and come from it.",
    "Repositories": "Where the code of tasks comes from.",
    "Sandbox environments": "What sandboxes may reach, and which variables they have.",
    "Integrations": "Accounts of other services that hedgerow uses.",
    "People and projects": "Who calls, with which keys, in which projects.",
    "Server": "The server itself.",
}
"""Every group, in order, with a sentence on it."""

_BY_MODULE = {
    "tasks": "Tasks",
    "task_overviews": "Tasks",
    "runs": "Runs",
    "commands": "Messages and commands",
    "messages": "Messages and commands",
    "permission_requests": "Messages and commands",
    "connection_tokens": "Messages and commands",
    "logs": "Logs and stream",
    "stream": "Logs and stream",
    "artifacts": "Artifacts",
    "objects": "Artifacts",
    "repositories": "Repositories",
    "readiness": "Repositories",
    "sandbox_environments": "Sandbox environments",
    "github": "Integrations",
    "slack": "Integrations",
    "accounts": "People and projects",
    "audit": "People and projects",
    "health": "Server",
}


def group_of(endpoint: Endpoint) -> str:
    """The group of an endpoint: that of the module in which its handler stands, which may be a new one."""
    module = getattr(endpoint.handler, "__module__", "").rpartition(".")[2]
    if module == "tasks" and "{task_id}/run" in endpoint.path:
        return "Runs"
    return _BY_MODULE.get(module, module.replace("_", " ").capitalize())
