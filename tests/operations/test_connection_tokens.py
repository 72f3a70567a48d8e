import asyncio
import time
from dataclasses import replace
from typing import Any

import jwt
import pytest

from hedgerow.db.database import Database
from hedgerow.domain.errors import ForbiddenError, NotFoundError, UnavailableError
from hedgerow.domain.runs import RunMode
from hedgerow.operations import connection_tokens
from hedgerow.operations.backends import Backends
from hedgerow.operations.signing import KeyRing
from tests.operations.conftest import Desk, new_desk


def read(token: str, key: str) -> dict[str, Any]:
    """The claims of a token, checked as an agent server checks them."""
    return jwt.decode(token, key, algorithms=["RS256"], audience="posthog:sandbox_connection", options={"require": ["exp", "aud"]})


async def test_a_token_names_run_caller_and_mode_for_a_day(desk: Desk) -> None:
    run = await desk.run(mode=RunMode.INTERACTIVE)

    token = await connection_tokens.connection_token(desk.backends, desk.caller, desk.project, run.task_id, run.id)
    claims = read(token, await connection_tokens.public_key(desk.backends))

    assert abs(claims.pop("exp") - time.time() - 86400) < 60
    assert claims == {
        "run_id": str(run.id),
        "task_id": str(run.task_id),
        "team_id": desk.project.id,
        "user_id": desk.caller.user.id,
        "distinct_id": desk.caller.user.distinct_id,
        "mode": "interactive",
        "aud": "posthog:sandbox_connection",
    }


async def test_the_server_has_tokens_of_its_own(desk: Desk) -> None:
    run = await desk.run()

    claims = read(await connection_tokens.mint(desk.backends, None, run), await connection_tokens.public_key(desk.backends))

    assert (claims["user_id"], claims["distinct_id"]) == (0, "hedgerow")


async def test_a_token_is_for_members_only(desk: Desk) -> None:
    run, other = await desk.run(), await new_desk(desk.backends)

    with pytest.raises(NotFoundError):
        await connection_tokens.connection_token(desk.backends, other.caller, other.project, run.task_id, run.id)
    with pytest.raises(ForbiddenError):
        await connection_tokens.connection_token(desk.backends, desk.agent(run), desk.project, run.task_id, run.id)


async def test_all_processes_sign_with_one_key_that_old_secrets_still_open(backends: Backends, database_url: str) -> None:
    database = Database(database_url, pool_size=4)
    await database.open()

    def process(*secrets: bytes) -> Backends:
        return replace(backends, database=database, keys=KeyRing(), rules=replace(backends.rules, secrets=secrets))

    made = await asyncio.gather(*(connection_tokens.public_key(process(b"old secret")) for _ in range(3)))

    assert len(set(made)) == 1
    assert await connection_tokens.public_key(process(b"new secret", b"old secret")) == made[0]
    with pytest.raises(UnavailableError, match="HEDGEROW_SECRET_KEY"):
        await connection_tokens.public_key(process(b"new secret"))
    await database.close()
