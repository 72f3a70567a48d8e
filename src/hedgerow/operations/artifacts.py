"""Artifacts of a run: sent inline, read again (contract 6.3, 6.6, 6.7). Uploads by form are in `uploads`."""

import asyncio
import binascii
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog

from hedgerow.db import artifacts, runs
from hedgerow.db.database import DatabaseLostError, Transaction
from hedgerow.domain.access import Caller, Project
from hedgerow.domain.artifacts import Artifact, ArtifactType, largest_bytes, new_id, run_shelf, safe_name
from hedgerow.domain.audit import AuditAction
from hedgerow.domain.errors import HedgerowError, InvalidError, MissingArtifactError, NotFoundError, RefusedError, UnavailableError
from hedgerow.domain.runs import TaskRun
from hedgerow.operations import access, audit, run_changes
from hedgerow.operations.backends import Backends

_PIECE_BYTES = 256 * 1024
_RECORDED_IDS = 50
_LOOSE_FOR = timedelta(days=1)
"""How long an object may lie in the store before something names it."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineArtifact:
    """An artifact whose content comes with the request. The door has checked types and lengths, and that content is not empty."""

    name: str
    type: ArtifactType
    source: str
    content: str
    is_base64: bool
    content_type: str


@dataclass(frozen=True, slots=True)
class ArtifactContent:
    """An artifact and its bytes."""

    artifact: Artifact
    size: int
    pieces: AsyncIterator[bytes]


async def store_artifacts(
    backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, items: Sequence[InlineArtifact]
) -> list[Artifact]:
    """Write the contents of artifacts to the store; their entries, for `add_artifacts`. What is not added within a day is removed.

    Raises, in this order: InvalidError (attr `artifacts__i__content`), NotFoundError, ForbiddenError (another run's token),
    UnavailableError where the store takes nothing; then nothing is kept.
    """
    contents = await asyncio.to_thread(_decoded, backends, items)
    shelf = run_shelf(backends.rules.artifacts, project.id, task_id, run_id)
    now = backends.clock.now()
    new = [_entry(item, shelf.path, len(content), now) for item, content in zip(items, contents, strict=True)]
    async with backends.database.transaction() as tx:
        await writable_run(tx, caller, project, task_id, run_id)
        await artifacts.announce(tx, [artifact.storage_path for artifact in new], now + _LOOSE_FOR)
    async with _removed_if_refused(backends, new):
        for artifact, content in zip(new, contents, strict=True):
            await backends.storage.put(artifact.storage_path, _pieces(content), content_type=artifact.content_type)
    return new


async def add_artifacts(
    backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, new: Sequence[Artifact]
) -> list[dict[str, Any]]:
    """Put stored artifacts into the manifest of their run: the whole of it, the new entries at its end, in their order.

    Raises NotFoundError, ForbiddenError (a run token of another run, or of an older epoch); then nothing of them is kept.
    """
    async with _removed_if_refused(backends, new), backends.database.transaction() as tx:
        run = await access.locked_run(tx, caller, project, task_id, run_id)
        for artifact in new:
            await artifacts.claim(tx, artifact.storage_path)
        return (await append_entries(backends, tx, caller, AuditAction.ARTIFACT_UPLOAD, run, new)).artifacts


@asynccontextmanager
async def _removed_if_refused(backends: Backends, new: Sequence[Artifact]) -> AsyncIterator[None]:
    """Remove objects that nothing will name. What the store does not let go of now is the collector's."""
    try:
        yield
    except DatabaseLostError:
        raise  # the manifest may name them by now; where it does not, the collector finds them
    except HedgerowError:
        for artifact in new:
            with contextlib.suppress(UnavailableError):
                await backends.storage.delete(artifact.storage_path)
        raise


def _decoded(backends: Backends, items: Sequence[InlineArtifact]) -> list[bytes]:
    return [_content(backends, f"artifacts__{index}__content", item) for index, item in enumerate(items)]


def _content(backends: Backends, attr: str, item: InlineArtifact) -> bytes:
    """The bytes of an inline artifact, none of them added or taken away."""
    try:
        content = _from_base64(item.content) if item.is_base64 else item.content.encode()
    except UnicodeEncodeError as error:
        raise InvalidError("The content holds a lone surrogate, which is no text.", attr=attr) from error
    except ValueError as error:
        raise InvalidError("The content is not base64: no line breaks, no other characters, padded at its end.", attr=attr) from error
    check_size(backends, attr, len(content), item.name, item.content_type, item.type)
    return content


def _from_base64(text: str) -> bytes:
    if len(text) % 4:
        raise ValueError("wrong padding")
    return binascii.a2b_base64(text, strict_mode=True)


def check_size(backends: Backends, attr: str, size: int, name: str, content_type: str, kind: ArtifactType) -> None:
    """Raise InvalidError where an artifact is larger than it may be."""
    limit = largest_bytes(backends.rules.artifacts, safe_name(name), content_type, kind)
    if size > limit:
        raise InvalidError(f"This artifact has {size} bytes; at most {limit} are allowed.", attr=attr, detail_code="max_value")


def _entry(item: InlineArtifact, path: Any, size: int, now: datetime) -> Artifact:
    artifact_id, name = new_id(), safe_name(item.name)
    return Artifact(
        id=artifact_id,
        name=name,
        type=item.type,
        source=item.source,
        size=size,
        content_type=item.content_type,
        storage_path=path(artifact_id, name),
        uploaded_at=now,
    )


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _PIECE_BYTES):
        yield content[start : start + _PIECE_BYTES]


async def writable_run(tx: Transaction, caller: Caller, project: Project, task_id: UUID, run_id: UUID) -> TaskRun:
    """A run that the caller may write, its row not locked. Raises NotFoundError, ForbiddenError."""
    access.check_own(caller, run_id)
    return await access.readable_run(tx, caller, project, task_id, run_id)


async def append_entries(
    backends: Backends, tx: Transaction, caller: Caller, action: AuditAction, run: TaskRun, new: Sequence[Artifact]
) -> TaskRun:
    """Put entries at the end of the manifest of a run whose row is locked; the run with all of them."""
    if not new:
        return run
    await add_entries(backends, tx, run, new)
    await audit.note_run(backends, tx, caller, action, run, **named(new))
    count = await artifacts.count(tx, run.id)
    return await run_changes.change_run(backends, tx, run, {"artifact_count": count}, caller)


def named(new: Sequence[Artifact]) -> dict[str, Any]:
    """What the record of who did what tells of artifacts: how many, and the ids of the first ones."""
    return {"count": len(new), "artifacts": [artifact.id for artifact in new[:_RECORDED_IDS]]}


async def add_entries(backends: Backends, tx: Transaction, run: TaskRun, new: Sequence[Artifact]) -> None:
    """Write the rows of new entries. The caller writes `artifact_count`."""
    days = backends.rules.artifacts.kept_days
    expires_at = backends.clock.now() + timedelta(days=days) if days else None
    await artifacts.add(tx, run.id, await artifacts.last_position(tx, run.id), new, expires_at)
    tags = {"ttl_days": f"{days:g}", "team_id": str(run.project_id)} if days else {"team_id": str(run.project_id)}
    tx.after_commit(partial(tag, backends, [artifact.storage_path for artifact in new], tags))


async def tag(backends: Backends, paths: Sequence[str], tags: dict[str, str]) -> None:
    """Put tags on objects. The rows know when they go: a store that takes none is only noted."""
    for path in paths:
        try:
            await backends.storage.tag(path, tags)
        except UnavailableError as problem:
            log.info("an artifact was not tagged", storage_path=path, reason=problem.message)


async def presign(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, storage_path: str) -> str:
    """An address that gives an artifact of this very run to anybody, for a while.

    Raises NotFoundError, MissingArtifactError; RefusedError where the store cannot make one.
    """
    async with backends.database.statement() as tx:
        run = await access.readable_run(tx, caller, project, task_id, run_id)
        if await artifacts.find(tx, [run.id], storage_path) is None:
            raise MissingArtifactError("This run has no artifact at that storage_path.")
    rules = backends.rules
    expires_at = backends.clock.now() + timedelta(seconds=rules.artifacts.url_seconds)
    try:
        return await backends.storage.read_url(storage_path, expires_at=expires_at, public_url=rules.public_url)
    except UnavailableError as problem:
        raise RefusedError(f"No address could be made: {problem.message}") from problem


async def download(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, storage_path: str) -> ArtifactContent:
    """An artifact of the run, or of the runs that it resumes from. Raises NotFoundError, MissingArtifactError; RefusedError where the
    store does not give it.
    """
    async with backends.database.statement() as tx:
        run = await access.readable_run(tx, caller, project, task_id, run_id)
        artifact = await artifacts.find(tx, await runs.resume_chain(tx, run), storage_path)
    if artifact is None:
        raise MissingArtifactError("Neither this run nor those that it resumes from have an artifact at that storage_path.")
    try:
        stored = await backends.storage.read(storage_path)
    except NotFoundError as problem:
        raise MissingArtifactError("The file of this artifact is not there any more.") from problem
    except UnavailableError as problem:
        raise _unreadable(problem) from problem
    return ArtifactContent(artifact, stored.info.size_bytes, _readable(stored.pieces))


async def _readable(pieces: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece
    except UnavailableError as problem:
        raise _unreadable(problem) from problem


def _unreadable(problem: UnavailableError) -> RefusedError:
    return RefusedError(f"The artifact could not be read: {problem.message}")
