"""Connection tokens: what a client shows to the agent server of a run (contract 5.7)."""

from datetime import timedelta
from uuid import UUID

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from hedgerow.db import signing_keys
from hedgerow.domain.access import Caller, PersonalCaller, Project
from hedgerow.domain.runs import TaskRun
from hedgerow.operations import access, signing
from hedgerow.operations.backends import Backends

AUDIENCE = "posthog:sandbox_connection"

_KEY_NAME = "connection tokens"
_LIFETIME = timedelta(hours=24)
_SERVER = "hedgerow"  # the distinct_id of tokens that the server makes for itself


async def connection_token(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID) -> str:
    """A token for direct access to the run's agent server, valid for 24 hours. Raises NotFoundError."""
    who = access.person(caller)
    async with backends.database.statement() as tx:
        run = await access.readable_run(tx, caller, project, task_id, run_id)
    return await mint(backends, who, run)


async def mint(backends: Backends, caller: PersonalCaller | None, run: TaskRun) -> str:
    """The token of a run for a caller; None: the server itself (user_id 0)."""
    claims = {
        "run_id": str(run.id),
        "task_id": str(run.task_id),
        "team_id": run.project_id,
        "user_id": 0 if caller is None else caller.user.id,
        "distinct_id": _SERVER if caller is None else caller.user.distinct_id,
        "mode": run.mode.value,
        "aud": AUDIENCE,
        "exp": backends.clock.now() + _LIFETIME,
    }
    return jwt.encode(claims, await _private_key(backends), algorithm="RS256")


async def public_key(backends: Backends) -> str:
    """The PEM text of the key that verifies connection tokens (JWT_PUBLIC_KEY of agent servers)."""
    key = (await _private_key(backends)).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


async def _private_key(backends: Backends) -> rsa.RSAPrivateKey:
    known = backends.keys.private.get(_KEY_NAME)
    if known is not None:
        return known
    async with backends.database.transaction() as tx:
        sealed = await signing_keys.load(tx, _KEY_NAME)
        if sealed is None:
            made = signing.seal(backends.rules.secrets[0], _KEY_NAME, signing.new_key())
            sealed = await signing_keys.add(tx, _KEY_NAME, made, backends.clock.now())
    key = signing.unseal(backends.rules.secrets, _KEY_NAME, sealed)
    backends.keys.private[_KEY_NAME] = key
    return key
