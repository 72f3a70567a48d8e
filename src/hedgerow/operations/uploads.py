"""Uploads by form: prepared here, sent to the store by the client, then finalized (contract 6.4, 6.5, 6.8)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from hedgerow.db import artifacts
from hedgerow.db.database import Transaction
from hedgerow.domain.access import Caller, Project
from hedgerow.domain.artifacts import (
    FORM_SLACK_BYTES,
    Artifact,
    ArtifactType,
    Shelf,
    is_media_type,
    largest_bytes,
    new_id,
    run_shelf,
    safe_name,
    staged_shelf,
)
from hedgerow.domain.audit import AuditAction
from hedgerow.domain.errors import InvalidError, RefusedError, UnavailableError
from hedgerow.operations import access, audit
from hedgerow.operations.artifacts import append_entries, check_size, named, tag, writable_run
from hedgerow.operations.backends import Backends
from hedgerow.operations.tasks import find_task, locked_task
from hedgerow.storage import UploadForm
from hedgerow.storage.keys import check_key

_LOOSE_FOR = timedelta(days=1)
"""How long after its form has expired an upload may be finalized."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedUpload:
    """An upload that a client asks a form for. The door has checked types and lengths."""

    name: str
    type: ArtifactType
    source: str
    size: int
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedUpload:
    """What an upload will be called, and the form for it."""

    id: str
    name: str
    type: ArtifactType
    source: str
    size: int
    content_type: str
    storage_path: str
    expires_in: int
    form: UploadForm = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentUpload:
    """An upload that a client says it has sent."""

    id: str
    name: str
    type: ArtifactType
    source: str
    storage_path: str
    content_type: str


async def prepare_upload(
    backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, wanted: Sequence[WantedUpload]
) -> list[PreparedUpload]:
    """Forms for new artifacts of a run, in the order of the request.

    Raises, in this order: InvalidError (attr `artifacts__i__size`), NotFoundError, ForbiddenError; RefusedError where no form can be made.
    """
    _check_sizes(backends, wanted)
    shelf = run_shelf(backends.rules.artifacts, project.id, task_id, run_id)
    async with backends.database.transaction() as tx:
        await writable_run(tx, caller, project, task_id, run_id)
        return await _prepare(backends, tx, shelf, wanted)


async def prepare_staged_upload(
    backends: Backends, caller: Caller, project: Project, task_id: UUID, wanted: Sequence[WantedUpload]
) -> list[PreparedUpload]:
    """Forms for artifacts of a run of this task that is yet to come. Errors as `prepare_upload`."""
    access.person(caller)
    _check_sizes(backends, wanted)
    async with backends.database.transaction() as tx:
        await find_task(tx, project, task_id)
        return await _prepare(backends, tx, staged_shelf(backends.rules.artifacts, project.id, task_id), wanted)


def _check_sizes(backends: Backends, wanted: Sequence[WantedUpload]) -> None:
    for index, item in enumerate(wanted):
        check_size(backends, f"artifacts__{index}__size", item.size, item.name, item.content_type, item.type)


async def _prepare(backends: Backends, tx: Transaction, shelf: Shelf, wanted: Sequence[WantedUpload]) -> list[PreparedUpload]:
    expires_at = backends.clock.now() + timedelta(seconds=backends.rules.artifacts.form_seconds)
    try:
        prepared = [await _form(backends, shelf, item, expires_at) for item in wanted]
    except (UnavailableError, InvalidError) as problem:
        raise RefusedError(f"No upload form could be made: {problem.message}") from problem
    await artifacts.announce(tx, [upload.storage_path for upload in prepared], expires_at + _LOOSE_FOR)
    return prepared


async def _form(backends: Backends, shelf: Shelf, item: WantedUpload, expires_at: Any) -> PreparedUpload:
    artifact_id, name = new_id(), safe_name(item.name)
    path = shelf.path(artifact_id, name)
    form = await backends.storage.upload_form(
        path,
        content_type=item.content_type,
        largest_bytes=item.size + FORM_SLACK_BYTES,
        expires_at=expires_at,
        public_url=backends.rules.public_url,
    )
    return PreparedUpload(
        id=artifact_id,
        name=name,
        type=item.type,
        source=item.source,
        size=item.size,
        content_type=item.content_type,
        storage_path=path,
        expires_in=backends.rules.artifacts.form_seconds,
        form=form,
    )


async def finalize_upload(
    backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, sent: Sequence[SentUpload]
) -> list[Artifact]:
    """Put uploads into the run's manifest, all of them or none; the entries of this request alone, in its order.

    One that is in the manifest already is given as it stands there. Raises NotFoundError, ForbiddenError; RefusedError for the first upload
    that is not where it should be, not there, or larger than it may be.
    """
    shelf = run_shelf(backends.rules.artifacts, project.id, task_id, run_id)
    async with backends.database.transaction() as tx:
        await writable_run(tx, caller, project, task_id, run_id)
        manifest = await artifacts.of_run(tx, run_id)
    looked_at = [_known(manifest, item, shelf) or await _look(backends, item) for item in sent]
    async with backends.database.transaction() as tx:
        run = await access.locked_run(tx, caller, project, task_id, run_id)
        manifest = await artifacts.of_run(tx, run_id)
        entries: list[Artifact] = []
        new: list[Artifact] = []
        for item, artifact in zip(sent, looked_at, strict=True):
            known = _find([*manifest, *new], item)
            if known is None:
                await _claim(backends, tx, item)
                new.append(artifact)
            entries.append(known or artifact)
        await append_entries(backends, tx, caller, AuditAction.ARTIFACT_FINALIZE, run, new)
        return entries


async def finalize_staged_upload(
    backends: Backends, caller: Caller, project: Project, task_id: UUID, sent: Sequence[SentUpload]
) -> list[Artifact]:
    """Keep uploads for a run of this task that is yet to come, all of them or none, for a day from now. Errors as `finalize_upload`."""
    access.person(caller)
    rules = backends.rules.artifacts
    shelf = staged_shelf(rules, project.id, task_id)
    async with backends.database.transaction() as tx:
        await find_task(tx, project, task_id)
    looked_at = [_known([], item, shelf) or await _look(backends, item) for item in sent]
    expires_at = backends.clock.now() + timedelta(hours=rules.staged_hours)
    async with backends.database.transaction() as tx:
        await locked_task(tx, project, task_id)
        for item, artifact in zip(sent, looked_at, strict=True):
            await _claim(backends, tx, item)
            await artifacts.stage(tx, task_id, artifact, expires_at)
        await audit.note(backends, tx, caller, AuditAction.ARTIFACT_STAGE, project_id=project.id, task_id=task_id, **named(looked_at))
        tags = {"ttl_days": "1", "team_id": str(project.id)}
        tx.after_commit(partial(tag, backends, [artifact.storage_path for artifact in looked_at], tags))
    return looked_at


def _known(manifest: Sequence[Artifact], item: SentUpload, shelf: Shelf) -> Artifact | None:
    """The entry that is there already. RefusedError for a path that is none of this shelf; then the store is not asked."""
    try:
        check_key(item.storage_path)
        is_here = shelf.holds(item.storage_path, item.id)
    except InvalidError:
        is_here = False
    if not is_here:
        raise RefusedError(f"The storage_path of artifact {item.id} is not one that was prepared for it here.")
    return _find(manifest, item)


def _find(manifest: Sequence[Artifact], item: SentUpload) -> Artifact | None:
    return next((known for known in manifest if known.id == item.id or known.storage_path == item.storage_path), None)


async def _look(backends: Backends, item: SentUpload) -> Artifact:
    """The entry of an upload as the store knows it."""
    info = await backends.storage.head(item.storage_path)
    if info is None:
        raise _not_uploaded(item)
    content_type = item.content_type or (info.content_type if is_media_type(info.content_type) else "")
    limit = largest_bytes(backends.rules.artifacts, safe_name(item.name), content_type, item.type)
    if info.size_bytes > limit:
        raise RefusedError(f"Artifact {item.id} has {info.size_bytes} bytes; at most {limit} are allowed.")
    return Artifact(
        id=item.id,
        name=safe_name(item.name),
        type=item.type,
        source=item.source,
        size=info.size_bytes,
        content_type=content_type,
        storage_path=item.storage_path,
        uploaded_at=backends.clock.now(),
    )


async def _claim(backends: Backends, tx: Transaction, item: SentUpload) -> None:
    """Take the object from the collector. Where nothing protected it any more, it may have gone since it was looked at."""
    if not await artifacts.claim(tx, item.storage_path) and await backends.storage.head(item.storage_path) is None:
        raise _not_uploaded(item)


def _not_uploaded(item: SentUpload) -> RefusedError:
    return RefusedError(f"Artifact {item.id} was not uploaded, or its file is not there any more.")
