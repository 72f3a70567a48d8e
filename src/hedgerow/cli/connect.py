"""The client of a user command, with the credentials of this machine, and the consoles it writes to."""

import os

from rich.console import Console

from hedgerow.client import Client, Retries, read_credentials
from hedgerow.data_directory import data_directory

CREDENTIALS_FILE = "credentials.json"
_RETRIES = Retries(most=2)  # a person waits, and should soon hear that nothing answers


def connect() -> Client:
    """A client as HEDGEROW_URL, HEDGEROW_API_KEY and HEDGEROW_PROJECT say, or the credentials file of the data directory."""
    credentials = read_credentials(os.environ, data_directory(os.environ) / CREDENTIALS_FILE)
    return Client(credentials, retries=_RETRIES, user_agent="hedgerow-cli")


def output() -> Console:
    """Where a command's answer goes."""
    return Console(highlight=False, markup=False, emoji=False)


def remarks() -> Console:
    """Where a command says what is not its answer."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)
