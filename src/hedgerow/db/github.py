"""People's accounts on GitHub, and tokens that came with runs."""

from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

from hedgerow.db.database import Transaction
from hedgerow.db.rows import storable
from hedgerow.domain.github import GitHubAccount, GitHubLink

_NAMES: tuple[LiteralString, ...] = ("id", "user_id", "sealed_token", "refused_at", "created_at")
_ACCOUNT: tuple[LiteralString, ...] = ("account_id", "login", "account_type", "name")
_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, (*_NAMES, *_ACCOUNT)))


def _link(row: dict[str, Any] | None) -> GitHubLink | None:
    if row is None:
        return None
    account = GitHubAccount(id=row["account_id"], login=row["login"], type=row["account_type"], name=row["name"])
    return GitHubLink(**{name: row[name] for name in _NAMES}, account=account)


async def link(tx: Transaction, link_id: UUID, user_id: int, account: GitHubAccount, now: datetime) -> GitHubLink:
    """Link a person with an account, without its token as yet. Whoever is linked already keeps the link's id, with the new account."""
    statement = sql.SQL(
        "INSERT INTO github_links (id, user_id, account_id, login, account_type, name, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (user_id) DO UPDATE SET account_id = EXCLUDED.account_id, login = EXCLUDED.login, name = EXCLUDED.name,"
        " account_type = EXCLUDED.account_type, sealed_token = NULL, refused_at = NULL RETURNING {}"
    ).format(_COLUMNS)
    name = None if account.name is None else storable(account.name)
    values = [link_id, user_id, account.id, storable(account.login), storable(account.type), name, now]
    linked = _link(await (await tx.connection.execute(statement, values)).fetchone())
    assert linked is not None
    return linked


async def keep_link_token(tx: Transaction, link_id: UUID, sealed: bytes) -> None:
    """Put a sealed token beside a link."""
    await tx.connection.execute("UPDATE github_links SET sealed_token = %s WHERE id = %s", [sealed, link_id])


async def link_of(tx: Transaction, user_id: int, *, lock: bool = False) -> GitHubLink | None:
    """A person's link. Locked, it cannot go away before the transaction ends."""
    statement = sql.SQL("SELECT {} FROM github_links WHERE user_id = %s").format(_COLUMNS) + sql.SQL(" FOR KEY SHARE" if lock else "")
    return _link(await (await tx.connection.execute(statement, [user_id])).fetchone())


async def load_link(tx: Transaction, link_id: UUID) -> GitHubLink | None:
    """A link by id."""
    statement = sql.SQL("SELECT {} FROM github_links WHERE id = %s").format(_COLUMNS)
    return _link(await (await tx.connection.execute(statement, [link_id])).fetchone())


async def refuse_link(tx: Transaction, link: GitHubLink, now: datetime) -> None:
    """Note that GitHub takes a link's token no more, unless another token was put in its place meanwhile."""
    statement: LiteralString = "UPDATE github_links SET refused_at = %s WHERE id = %s AND sealed_token = %s"
    await tx.connection.execute(statement, [now, link.id, link.sealed_token])


async def unlink(tx: Transaction, user_id: int) -> bool:
    """Remove a person's link with its token; False where there was none."""
    return (await tx.connection.execute("DELETE FROM github_links WHERE user_id = %s", [user_id])).rowcount > 0


async def keep_run_token(tx: Transaction, run_id: UUID, sealed: bytes, expires_at: datetime) -> None:
    """Keep the token that came with a new run."""
    statement: LiteralString = "INSERT INTO run_github_tokens (run_id, sealed_token, expires_at) VALUES (%s, %s, %s)"
    await tx.connection.execute(statement, [run_id, sealed, expires_at])


async def run_token(tx: Transaction, run_id: UUID, now: datetime) -> bytes | None:
    """The sealed token that came with a run; None where there was none, or its time is over."""
    statement: LiteralString = "SELECT sealed_token FROM run_github_tokens WHERE run_id = %s AND expires_at > %s"
    row = await (await tx.connection.execute(statement, [run_id, now])).fetchone()
    return None if row is None else bytes(row["sealed_token"])


async def forget_run_token(tx: Transaction, run_id: UUID) -> None:
    """Forget the token that came with a run."""
    await tx.connection.execute("DELETE FROM run_github_tokens WHERE run_id = %s", [run_id])


async def forget_old_run_tokens(tx: Transaction, now: datetime) -> int:
    """Forget every token whose time is over; how many there were."""
    return (await tx.connection.execute("DELETE FROM run_github_tokens WHERE expires_at <= %s", [now])).rowcount


async def of_task(tx: Transaction, task_id: UUID) -> tuple[int | None, UUID | None]:
    """The integration of the project, and the link of a person, that a task names."""
    statement: LiteralString = "SELECT github_integration, github_user_integration FROM tasks WHERE id = %s"
    row = await (await tx.connection.execute(statement, [task_id])).fetchone()
    return (None, None) if row is None else (row["github_integration"], row["github_user_integration"])
