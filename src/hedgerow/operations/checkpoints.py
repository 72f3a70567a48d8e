"""Checkpoints of runs in the object store and on the journal: kept, forgotten, handed over by clients, and read again."""

import asyncio
import binascii
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hedgerow.db import artifacts, runs
from hedgerow.db.database import Transaction
from hedgerow.domain.artifacts import Artifact, ArtifactType, new_id, run_shelf, safe_name
from hedgerow.domain.checkpoints import HANDED_OVER, METHOD, SOURCE, Taken, artifact_names, awaits_next_start, kept, told
from hedgerow.domain.errors import InvalidError, NotFoundError
from hedgerow.domain.journal import method_of, notification
from hedgerow.domain.runs import TaskRun
from hedgerow.operations import run_changes
from hedgerow.operations.artifacts import add_entries
from hedgerow.operations.backends import Backends

_PIECE_BYTES = 3 * 64 * 1024  # of a file, so that its base64 needs no padding but at the end
_LOOSE_FOR = timedelta(days=1)
_RAW = (b"PACK", b"DIRC")  # how packs and indexes of git begin; anything else is base64


@dataclass(frozen=True, slots=True)
class Stored:
    """A checkpoint whose files are in the object store, and named by nothing yet."""

    params: dict[str, Any]
    artifacts: tuple[Artifact, Artifact]


async def store(backends: Backends, run: TaskRun, checkpoint_id: str, taken: Taken, pack: Path, index: Path, remote_url: str) -> Stored:
    """Write the files of a checkpoint to the store, as base64, which is how clients read them. What is not kept within a day is removed.

    Raises UnavailableError where the store takes nothing.
    """
    now = backends.clock.now()
    shelf = run_shelf(backends.rules.artifacts, run.project_id, run.task_id, run.id)
    new = []
    for name, file in zip(artifact_names(checkpoint_id), (pack, index), strict=True):
        artifact_id, size = new_id(), (await asyncio.to_thread(file.stat)).st_size
        new.append(
            Artifact(
                id=artifact_id,
                name=safe_name(name),
                type=ArtifactType.ARTIFACT,
                source=SOURCE,
                size=(size + 2) // 3 * 4,
                content_type="text/plain",
                storage_path=shelf.path(artifact_id, safe_name(name)),
                uploaded_at=now,
            )
        )
    async with backends.database.transaction() as tx:
        await artifacts.announce(tx, [artifact.storage_path for artifact in new], now + _LOOSE_FOR)
    for artifact, file in zip(new, (pack, index), strict=True):
        await backends.storage.put(artifact.storage_path, _encoded(file), content_type=artifact.content_type)
    paths = [artifact.storage_path for artifact in new]
    params = told(checkpoint_id, taken, remote_url=remote_url, pack_path=paths[0], index_path=paths[1], now=now)
    return Stored(params, (new[0], new[1]))


async def _encoded(file: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(file.open, "rb") as source:
        while piece := await asyncio.to_thread(source.read, _PIECE_BYTES):
            yield binascii.b2a_base64(piece, newline=False)


async def keep(backends: Backends, tx: Transaction, run: TaskRun, stored: Stored) -> None:
    """Make a stored checkpoint the newest of a run, whose row is locked: its artifacts, its entry on the journal, and the fact.

    The oldest ones go. Files that a client has handed over meanwhile, for the run's next start, stay what that begins with.
    """
    for artifact in stored.artifacts:
        await artifacts.claim(tx, artifact.storage_path)
    await add_entries(backends, tx, run, stored.artifacts)
    rules = backends.rules.checkpoints
    await artifacts.remove_old(tx, run.id, SOURCE, rules.kept * len(stored.artifacts), backends.clock.now())
    facts: dict[str, Any] = {"artifact_count": await artifacts.count(tx, run.id)}
    if not awaits_next_start(run):
        facts["checkpoint"] = kept(stored.params)
    await runs.note(tx, run.id, facts)
    entry = run_changes.server_entry(notification(METHOD, stored.params, backends.clock.now()))
    masked = replace(entry, text=backends.rules.mask.text(entry.text))  # the agent names its branches
    await run_changes.add_events(backends, tx, run.id, [masked], run.execution.epoch)


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A client has put its files into a checkpoint, for the run to go on from."""

    params: dict[str, Any]


def read(entry: Mapping[str, Any], text: str) -> HandedOver | None:
    """The checkpoint that an entry of a client tells, out of its masked text; None for any other, and one that could not be restored."""
    if method_of(entry).lstrip("_") != METHOD.lstrip("_"):
        return None
    try:
        params = kept(json.loads(text)["notification"].get("params"))
    except (ValueError, RecursionError):
        return None
    return None if params is None else HandedOver(params)


async def record(backends: Backends, tx: Transaction, run: TaskRun, report: HandedOver) -> TaskRun:
    """Let a run, whose row is locked, go on from what a client has handed over, if its artifacts are the run's or of its resume chain."""
    chain = await runs.resume_chain(tx, run)
    for name in ("artifactPath", "indexArtifactPath"):
        path = report.params.get(name)
        if path and await artifacts.find(tx, chain, path) is None:
            return run
    return await runs.note(tx, run.id, {"checkpoint": report.params | {HANDED_OVER: True}})


async def fetch(backends: Backends, run: TaskRun, storage_path: str, target: Path) -> None:
    """Write an artifact of a checkpoint, as git knows it, to a new file.

    Raises NotFoundError where it is not there any more, InvalidError where it is too large or no base64, UnavailableError.
    """
    async with backends.database.statement() as tx:
        found = await artifacts.find(tx, await runs.resume_chain(tx, run), storage_path)
    if found is None:
        raise NotFoundError("Its artifact is not there any more.")
    limit = backends.rules.checkpoints.largest_bytes
    stored = await backends.storage.read(storage_path)
    if stored.info.size_bytes > (limit + 2) // 3 * 4:
        raise InvalidError(f"Its artifact is larger than {limit // 2**20} MiB.")
    with await asyncio.to_thread(target.open, "xb") as file:
        async with aclosing(stored.pieces) as pieces:
            async for piece in _decoded(pieces):
                await asyncio.to_thread(file.write, piece)


async def _decoded(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The bytes that pieces of base64 stand for; bytes of git as they are."""
    rest, is_raw = b"", None
    async for piece in pieces:
        rest += piece
        if is_raw is None and len(rest) >= len(_RAW[0]):
            is_raw = rest.startswith(_RAW)
        if is_raw is None:
            continue
        whole = len(rest) if is_raw else len(rest) // 4 * 4
        ready, rest = rest[:whole], rest[whole:]
        yield ready if is_raw else _plain(ready)
    yield _plain(rest)


def _plain(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise InvalidError("Its artifact is no base64.") from error
