"""hedgerow over HTTP, as the command line and the end-to-end tests speak it."""

from hedgerow.client.answers import Repository, Run, Task
from hedgerow.client.calls import Client
from hedgerow.client.credentials import Credentials, read_credentials
from hedgerow.client.errors import ClientError, UnreachableError
from hedgerow.client.following import Cut, Ended, Received, Update

__all__ = [
    "Client",
    "ClientError",
    "Credentials",
    "Cut",
    "Ended",
    "Received",
    "Repository",
    "Run",
    "Task",
    "UnreachableError",
    "Update",
    "read_credentials",
]
