"""What may go from a hedgerow, and why. Pure: the same findings always give the same plan."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from uuid import UUID


class Kind(StrEnum):
    """What is removed, or moved."""

    JOURNAL = "journal"  # the whole journal of a run
    JOURNAL_TO_ARCHIVE = "journal_to_archive"  # moved to the object store, and read from there
    OBJECT = "object"  # of the object store
    WORKSPACE = "workspace"  # the folder of a run that is over
    MIRROR = "mirror"  # of a repository
    RUNTIME = "runtime"  # what sandboxes of an earlier version ran on
    REMAINS = "remains"  # what a removal that was cut off has left


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long things are kept. 0 days: for ever."""

    journal_days: float = 0.0
    archive_days: float = 0.0  # after which a journal lies in the object store
    workspace_days: float = 30.0
    mirror_days: float = 90.0
    runtime_days: float = 7.0

    def before(self, kind: Kind, now: datetime) -> datetime | None:
        """The moment before which something of a kind must have been left for it to go; None where nothing of it goes by its age."""
        days = {
            Kind.JOURNAL: self.journal_days,
            Kind.JOURNAL_TO_ARCHIVE: self.archive_days,
            Kind.WORKSPACE: self.workspace_days,
            Kind.MIRROR: self.mirror_days,
            Kind.RUNTIME: self.runtime_days,
        }.get(kind, 0.0)
        return now - timedelta(days=days) if days else None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJournal:
    """The journal of a run that has ended and was tidied up."""

    run_id: UUID
    ended_at: datetime
    events: int  # that would go
    size_bytes: int


class Expiry(StrEnum):
    """Why the time of an object is over."""

    ARTIFACT = "artifact"  # of a run, which has had it for so long as artifacts are kept
    LOOSE = "loose"  # nothing names it: an upload that nobody finished, or something that was let go of
    STAGED = "staged"  # for a run of its task that never came


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredObject:
    """An object whose time was over at `since`."""

    path: str
    since: datetime
    expiry: Expiry
    size_bytes: int | None = None  # None where nobody knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder of this machine, and since when nobody has used it. What is `needed` never goes."""

    path: Path
    since: datetime
    needed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that was found to be there and might go."""

    journals: Sequence[EndedJournal] = ()
    journals_to_archive: Sequence[EndedJournal] = ()
    objects: Sequence[ExpiredObject] = ()
    workspaces: Sequence[Folder] = ()
    mirrors: Sequence[Folder] = ()
    runtimes: Sequence[Folder] = ()
    remains: Sequence[Folder] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One thing that goes: what, why, and since when it may. `subject` is what carries it out goes by."""

    kind: Kind
    subject: UUID | str | Path
    why: str
    since: datetime
    size_bytes: int | None = None


def plan(found: Findings, retention: Retention, now: datetime) -> list[Removal]:
    """What goes now: each thing once, nothing that is needed, nothing that is younger than its setting says."""
    return [
        *_journals(found, retention, now),
        *(_expired(each) for each in found.objects if each.since <= now),
        *_folders(Kind.WORKSPACE, found.workspaces, retention, now),
        *_folders(Kind.MIRROR, found.mirrors, retention, now),
        *_folders(Kind.RUNTIME, found.runtimes, retention, now),
        *(Removal(kind=Kind.REMAINS, subject=each.path, why="a removal was cut off", since=each.since) for each in found.remains),
    ]


def _journals(found: Findings, retention: Retention, now: datetime) -> Iterator[Removal]:
    going = set()
    before = retention.before(Kind.JOURNAL, now)
    for each in found.journals:
        if before is not None and each.ended_at <= before and each.events:
            going.add(each.run_id)
            why = f"the run ended more than {retention.journal_days:g} days ago (HEDGEROW_JOURNAL_DAYS)"
            yield Removal(kind=Kind.JOURNAL, subject=each.run_id, why=why, since=each.ended_at, size_bytes=each.size_bytes)
    before = retention.before(Kind.JOURNAL_TO_ARCHIVE, now)
    for each in found.journals_to_archive:
        if before is not None and each.ended_at <= before and each.events and each.run_id not in going:
            why = f"the run ended more than {retention.archive_days:g} days ago (HEDGEROW_ARCHIVE_DAYS); it is read from the object store"
            yield Removal(kind=Kind.JOURNAL_TO_ARCHIVE, subject=each.run_id, why=why, since=each.ended_at, size_bytes=each.size_bytes)


_WHY_EXPIRED = {
    Expiry.ARTIFACT: "an artifact whose time is over (HEDGEROW_ARTIFACT_DAYS)",
    Expiry.LOOSE: "nothing names it: an upload that nobody finished, a checkpoint after which came others, or a part of a removed journal",
    Expiry.STAGED: "no run has taken it (HEDGEROW_STAGED_ARTIFACT_HOURS)",
}


def _expired(each: ExpiredObject) -> Removal:
    return Removal(kind=Kind.OBJECT, subject=each.path, why=_WHY_EXPIRED[each.expiry], since=each.since, size_bytes=each.size_bytes)


_WHY = {
    Kind.WORKSPACE: "no run uses it any more (HEDGEROW_KEPT_WORKSPACE_DAYS)",
    Kind.MIRROR: "no run has needed it, no workspace borrows from it, and every result in it is pushed (HEDGEROW_MIRROR_DAYS)",
    Kind.RUNTIME: "it is of another version, and no sandbox runs on it (HEDGEROW_RUNTIME_DAYS)",
}


def _folders(kind: Kind, folders: Sequence[Folder], retention: Retention, now: datetime) -> Iterator[Removal]:
    before = retention.before(kind, now)
    for folder in folders:
        if before is not None and not folder.needed and folder.since <= before:
            yield Removal(kind=kind, subject=folder.path, why=_WHY[kind], since=folder.since)


DISK_FULL = "This machine's disk is nearly full: the run starts when there is room again, or on another machine."
WAITING_KEY = "_waiting_for"
"""The key of a run's `state` that says in words what its start waits for; the server's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much of a disk is free, and how much must be for a new sandbox."""

    free_bytes: int
    total_bytes: int
    least_bytes: int = 0
    least_percent: float = 0.0

    @property
    def enough(self) -> bool:
        """Whether a new sandbox may be made."""
        return self.free_bytes >= self.least_bytes and self.free_bytes * 100 >= self.total_bytes * self.least_percent
