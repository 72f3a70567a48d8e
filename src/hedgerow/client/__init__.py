"""hedgerow over HTTP, for programs: `Client` waits, `AsyncClient` awaits, and both have the same methods.

See docs/client.md.
"""

from typing import TYPE_CHECKING, Any

from hedgerow.client.answers.accounts import CurrentUser, PersonalKey, Project
from hedgerow.client.answers.artifacts import Artifact, PreparedUpload, PresignedUrl
from hedgerow.client.answers.audit import AuditEntry
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
from hedgerow.client.answers.repositories import Capability, Repository, RepositoryReadiness
from hedgerow.client.answers.runs import Run
from hedgerow.client.answers.tasks import Person, Task, TaskSummary
from hedgerow.client.blocking.client import Client
from hedgerow.client.credentials import Credentials, read_credentials
from hedgerow.client.errors import BrokenOffError, ClientError, UnreachableError
from hedgerow.client.places import RunId, RunPlace, TaskPlace
from hedgerow.client.retrying import Retries
from hedgerow.client.updates import Cut, Ended, Received, Update

if TYPE_CHECKING:
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
    "Ended",
    "GitHubBranches",
    "GitHubInstallation",
    "GitHubRepository",
    "Integration",
    "LogPage",
    "Message",
    "OwnIntegration",
    "Page",
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


def __getattr__(name: str) -> Any:
    """The client that awaits is imported when it is first used: the command line starts sooner without it."""
    if name == "AsyncClient":
        from hedgerow.client.asynchronous.client import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
