"""Connection tokens: what a client shows to the agent server of a run (contract 5.7)."""

from uuid import UUID

from hedgerow.domain.access import Caller, PersonalCaller, Project
from hedgerow.domain.runs import TaskRun
from hedgerow.operations.backends import Backends


async def connection_token(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID) -> str:
    """A token for direct access to the run's agent server, valid for 24 hours. Raises NotFoundError."""
    raise NotImplementedError


async def mint(backends: Backends, caller: PersonalCaller | None, run: TaskRun) -> str:
    """The token of a run for a caller; None: the server itself (user_id 0)."""
    raise NotImplementedError


async def public_key(backends: Backends) -> str:
    """The PEM text of the key that verifies connection tokens (JWT_PUBLIC_KEY of agent servers)."""
    raise NotImplementedError
