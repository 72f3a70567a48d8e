"""The client: every call in one place."""

from hedgerow.client.asynchronous.accounts import AccountCalls
from hedgerow.client.asynchronous.artifacts import ArtifactCalls
from hedgerow.client.asynchronous.commands import CommandCalls
from hedgerow.client.asynchronous.environments import EnvironmentCalls
from hedgerow.client.asynchronous.following import StreamCalls
from hedgerow.client.asynchronous.integrations import IntegrationCalls
from hedgerow.client.asynchronous.logs import LogCalls
from hedgerow.client.asynchronous.tasks import TaskCalls


class AsyncClient(TaskCalls, StreamCalls, LogCalls, CommandCalls, ArtifactCalls, EnvironmentCalls, AccountCalls, IntegrationCalls):
    """hedgerow at one address, in one project: every operation of its API.

    Each method raises ClientError where hedgerow refuses, and UnreachableError where it cannot be asked.
    """
