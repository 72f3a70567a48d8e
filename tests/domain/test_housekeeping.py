"""What may go from a hedgerow, for anything that is found."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.domain.housekeeping import EndedJournal, ExpiredObject, Expiry, Findings, Folder, Kind, Retention, Room, plan

NOW = datetime(2026, 5, 7, 12, tzinfo=UTC)
AGES = st.floats(-5, 200)
DAYS = st.sampled_from([0.0, 1.0, 30.0, 90.0])


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def folders(root: str) -> st.SearchStrategy[list[Folder]]:
    each = st.builds(
        lambda number, age, needed: Folder(path=Path(root) / str(number), since=ago(age), needed=needed),
        st.integers(0, 1000),
        AGES,
        st.booleans(),
    )
    return st.lists(each, max_size=8, unique_by=lambda folder: folder.path)


JOURNALS = st.lists(
    st.builds(
        lambda number, age, events: EndedJournal(run_id=UUID(int=number), ended_at=ago(age), events=events, size_bytes=10 * events),
        st.integers(0, 20),
        AGES,
        st.integers(0, 3),
    ),
    max_size=8,
    unique_by=lambda journal: journal.run_id,
)
FINDINGS = st.builds(
    lambda journals, archive, objects, workspaces, mirrors, runtimes, remains: Findings(
        journals=journals,
        journals_to_archive=archive,
        objects=objects,
        workspaces=workspaces,
        mirrors=mirrors,
        runtimes=runtimes,
        remains=remains,
    ),
    JOURNALS,
    JOURNALS,
    st.lists(
        st.builds(
            lambda number, age, expiry: ExpiredObject(path=str(number), since=ago(age), expiry=expiry),
            st.integers(0, 20),
            AGES,
            st.sampled_from(Expiry),
        ),
        max_size=5,
        unique_by=lambda found: found.path,
    ),
    folders("runs"),
    folders("mirrors"),
    folders("runtime"),
    folders("remains"),
)
RETENTION = st.builds(
    lambda journal, archive, workspace, mirror, runtime: Retention(
        journal_days=journal, archive_days=archive, workspace_days=workspace, mirror_days=mirror, runtime_days=runtime
    ),
    DAYS,
    DAYS,
    DAYS,
    DAYS,
    DAYS,
)


@given(found=FINDINGS, retention=RETENTION)
def test_nothing_goes_that_is_needed_or_young_and_nothing_twice(found: Findings, retention: Retention) -> None:
    removals = plan(found, retention, NOW)

    assert len({removal.subject for removal in removals}) == len(removals)
    needed = {folder.path for folder in (*found.workspaces, *found.mirrors, *found.runtimes) if folder.needed}
    assert not needed & {removal.subject for removal in removals}
    for removal in removals:
        assert removal.why
        if removal.kind is Kind.OBJECT:
            assert removal.since <= NOW
        elif removal.kind is not Kind.REMAINS:
            before = retention.before(removal.kind, NOW)
            assert before is not None
            assert removal.since <= before


@given(found=FINDINGS, retention=RETENTION)
def test_what_is_old_and_needless_goes(found: Findings, retention: Retention) -> None:
    gone = {removal.subject for removal in plan(found, retention, NOW)}

    for kind, there in ((Kind.WORKSPACE, found.workspaces), (Kind.MIRROR, found.mirrors), (Kind.RUNTIME, found.runtimes)):
        before = retention.before(kind, NOW)
        assert before is None or {folder.path for folder in there if not folder.needed and folder.since <= before} <= gone
    assert {folder.path for folder in found.remains} <= gone
    assert {each.path for each in found.objects if each.since <= NOW} <= gone


def test_a_journal_that_goes_is_not_archived_before() -> None:
    old = EndedJournal(run_id=UUID(int=1), ended_at=ago(100), events=3, size_bytes=30)
    younger = EndedJournal(run_id=UUID(int=2), ended_at=ago(40), events=3, size_bytes=30)
    found = Findings(journals=[old, younger], journals_to_archive=[old, younger])

    removals = plan(found, Retention(journal_days=90, archive_days=30), NOW)

    assert [(removal.kind, removal.subject) for removal in removals] == [
        (Kind.JOURNAL, old.run_id),
        (Kind.JOURNAL_TO_ARCHIVE, younger.run_id),
    ]
    assert "HEDGEROW_JOURNAL_DAYS" in removals[0].why


def test_a_disk_has_room_while_both_limits_are_kept() -> None:
    assert Room(free_bytes=0, total_bytes=100).enough
    assert Room(free_bytes=10, total_bytes=100, least_bytes=10, least_percent=10).enough
    assert not Room(free_bytes=9, total_bytes=100, least_bytes=10).enough
    assert not Room(free_bytes=9, total_bytes=100, least_percent=10).enough
