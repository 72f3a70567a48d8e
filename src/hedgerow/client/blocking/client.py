# Made from asynchronous/client.py by scripts/blocking-client: change that file, not this one.
"""The client: every call in one place."""

from hedgerow.client.blocking.accounts import AccountCalls
from hedgerow.client.blocking.artifacts import ArtifactCalls
from hedgerow.client.blocking.commands import CommandCalls
from hedgerow.client.blocking.environments import EnvironmentCalls
from hedgerow.client.blocking.following import StreamCalls
from hedgerow.client.blocking.integrations import IntegrationCalls
from hedgerow.client.blocking.logs import LogCalls
from hedgerow.client.blocking.tasks import TaskCalls


class Client(TaskCalls, StreamCalls, LogCalls, CommandCalls, ArtifactCalls, EnvironmentCalls, AccountCalls, IntegrationCalls):
    """hedgerow at one address, in one project: every operation of its API.

    Each method raises ClientError where hedgerow refuses, and UnreachableError where it cannot be asked.
    """
