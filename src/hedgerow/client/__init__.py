"""hedgerow over HTTP, for programs: `Client` waits, `AsyncClient` awaits, and both have the same methods.

See docs/client.md.
"""

from typing import TYPE_CHECKING, Any

from hedgerow.client.blocking.client import Client
from hedgerow.client.credentials import Credentials, read_credentials
from hedgerow.client.errors import BrokenOffError, ClientError, UnreachableError
from hedgerow.client.places import RunId, RunPlace, TaskPlace
from hedgerow.client.retrying import Retries
from hedgerow.client.updates import Cut, Ended, Received, Update

if TYPE_CHECKING:
    from hedgerow.client.answers.accounts import CurrentUser, PersonalKey, Project
    from hedgerow.client.answers.artifacts import Artifact, PreparedUpload, PresignedUrl
    from hedgerow.client.answers.audit import AuditEntry
    from hedgerow.client.answers.end_reasons import EndReasonDetail
    from hedgerow.client.answers.environments import SandboxEnvironment
    from hedgerow.client.answers.integrations import (
        GitHubBranches,
        GitHubInstallation,
        GitHubRepository,
        Integration,
        OwnIntegration,
        SlackThread,
    )
    from hedgerow.client.answers.logs import LogPage
    from hedgerow.client.answers.messages import Message
    from hedgerow.client.answers.pages import Page
    from hedgerow.client.answers.permission_requests import PermissionRequest
    from hedgerow.client.answers.readiness import Capability, RepositoryReadiness
    from hedgerow.client.answers.repositories import Repository
    from hedgerow.client.answers.runs import Run
    from hedgerow.client.answers.tasks import Person, Task, TaskSummary
    from hedgerow.client.asynchronous.client import AsyncClient

__all__ = [
    "Artifact",
    "AsyncClient",
    "AuditEntry",
    "BrokenOffError",
    "Capability",
    "Client",
    "ClientError",
    "Credentials",
    "CurrentUser",
    "Cut",
    "EndReasonDetail",
    "Ended",
    "GitHubBranches",
    "GitHubInstallation",
    "GitHubRepository",
    "Integration",
    "LogPage",
    "Message",
    "OwnIntegration",
    "Page",
    "PermissionRequest",
    "Person",
    "PersonalKey",
    "PreparedUpload",
    "PresignedUrl",
    "Project",
    "Received",
    "Repository",
    "RepositoryReadiness",
    "Retries",
    "Run",
    "RunId",
    "RunPlace",
    "SandboxEnvironment",
    "SlackThread",
    "Task",
    "TaskPlace",
    "TaskSummary",
    "UnreachableError",
    "Update",
    "read_credentials",
]

# Imported when they are first asked for, since the command line starts sooner without them.
_LATER = {
    "AsyncClient": "asynchronous.client",
    "Artifact": "answers.artifacts",
    "AuditEntry": "answers.audit",
    "Capability": "answers.readiness",
    "CurrentUser": "answers.accounts",
    "EndReasonDetail": "answers.end_reasons",
    "GitHubBranches": "answers.integrations",
    "GitHubInstallation": "answers.integrations",
    "GitHubRepository": "answers.integrations",
    "Integration": "answers.integrations",
    "LogPage": "answers.logs",
    "Message": "answers.messages",
    "OwnIntegration": "answers.integrations",
    "Page": "answers.pages",
    "PermissionRequest": "answers.permission_requests",
    "Person": "answers.tasks",
    "PersonalKey": "answers.accounts",
    "PreparedUpload": "answers.artifacts",
    "PresignedUrl": "answers.artifacts",
    "Project": "answers.accounts",
    "Repository": "answers.repositories",
    "RepositoryReadiness": "answers.readiness",
    "Run": "answers.runs",
    "SandboxEnvironment": "answers.environments",
    "SlackThread": "answers.integrations",
    "Task": "answers.tasks",
    "TaskSummary": "answers.tasks",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    return found
