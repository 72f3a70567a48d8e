"""Commands to the agent of a run (contract 9): messages are queued, everything else is forwarded."""

from uuid import UUID

from hedgerow.domain.access import Caller, Project
from hedgerow.domain.commands import Command
from hedgerow.operations.backends import Backends


async def send_command(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, command: Command) -> bytes:
    """Carry out a command; the JSON document to answer with.

    The door has checked jsonrpc, method, id and that params is an object; what must be in params is checked here.
    Raises InvalidError (attr `params`), NotFoundError, RefusedError (`No active sandbox`, unknown artifacts, a sandbox_url that
    is not allowed), UnavailableError (the agent did not answer or refused: 502), TimedOutError (504).
    """
    raise NotImplementedError
