import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hedgerow.db import artifacts, journal, journal_archives, journal_texts
from hedgerow.db.database import Transaction
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.errors import ConflictError, InvalidError, UnavailableError
from hedgerow.domain.journal import EventKind, JournalEvent
from hedgerow.domain.journal_segments import EntryFilter, KeptEvent, summarize
from hedgerow.domain.runs import RunStatus, TaskRun
from hedgerow.operations import artifact_collection, journal_archiving, journal_events, journal_segments, logs
from hedgerow.operations.logs import LogFilters
from hedgerow.operations.run_updates import RunPatch, update_run
from hedgerow.storage import ObjectInfo, ObjectStore, StoredObject
from tests.operations.conftest import Desk
from tests.operations.journal_entries import appended, found, joined, lines, said, update
from tests.operations.test_streams import end, numbers, stream

LATER = timedelta(days=40)
TYPES = ("a", "b", "tool_call")
FILTERS: tuple[Mapping[str, Any], ...] = (
    {},
    {"event_types": ("a",)},
    {"exclude_types": ("a", "b")},
    {"event_types": ("nothing",)},
    {"after": datetime(2026, 5, 7, 10, 0, 5, tzinfo=UTC)},
    {"after": datetime(2026, 5, 7, 10, 0, 5, tzinfo=UTC), "event_types": ("b",)},
    {"after": datetime(2030, 1, 1, tzinfo=UTC)},
)


def entries(count: int) -> list[dict[str, Any]]:
    """Entries of several types, some without a time."""
    return [update(TYPES[n % 3], f"nÚmber {n}", None if n % 7 == 0 else f"2026-05-07T10:00:{n % 60:02}.000Z") for n in range(count)]


async def ended(desk: Desk, count: int = 30) -> TaskRun:
    """A run with entries that has ended."""
    run = await desk.run()
    await appended(desk, run, *entries(count))
    await end(desk, run)
    return run


def later(desk: Desk, duration: timedelta = LATER) -> Desk:
    """The same desk at a later time."""
    return replace(desk, backends=replace(desk.backends, clock=FixedClock(desk.backends.clock.now() + duration)))


async def archived(desk: Desk, run: TaskRun) -> int:
    """How many events went to the archive, a month after the run's end."""
    return await journal_archiving.archive(later(desk).backends, run.id, desk.backends.clock.now() + timedelta(days=30))


async def removed(desk: Desk, run: TaskRun, days: float = 30) -> int:
    """How many events were removed, so many days after the run's end."""
    return await journal_archiving.remove(later(desk).backends, run.id, desk.backends.clock.now() + timedelta(days=days))


@dataclass(frozen=True)
class Sight:
    """Everything that readers get of a run."""

    logs: list[str]
    stream: list[JournalEvent]
    pages: list[Any]


async def sight(desk: Desk, run: TaskRun) -> Sight:
    """What logs, stream and session_logs answer, the last with every filter and several pages."""
    pages = [
        await page(desk, run, **filters, offset=offset, limit=limit)
        for filters in FILTERS
        for offset, limit in ((0, 1000), (3, 4), (9, 50))
    ]
    frames = await (await stream(desk, run)).rest()
    return Sight(await lines(desk, run), [frame for frame in frames if isinstance(frame, JournalEvent)], pages)


async def page(desk: Desk, run: TaskRun, **filters: Any) -> Any:
    """A page of session_logs, its body as bytes."""
    answer = await logs.session_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id, LogFilters(**filters))
    return await joined(answer.body), answer.total, answer.matching, answer.has_more


async def rows_of(desk: Desk, run: TaskRun) -> list[int]:
    """The numbers that the table still holds."""
    async with desk.backends.database.statement() as tx:
        return [event.number for event in await journal.read(tx, run.id, 0)]


async def change(desk: Desk, statement: Any, *values: Any) -> None:
    """Lay hands on the database."""
    async with desk.backends.database.transaction() as tx:
        await tx.connection.execute(statement, values)


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several segments out of a few entries."""
    monkeypatch.setattr(journal_segments, "SEGMENT_EVENTS", 7)


async def test_readers_see_the_same_bytes_before_and_after_archiving(desk: Desk) -> None:
    run = await ended(desk)
    before = await sight(desk, run)

    assert await archived(desk, run) == 32

    assert await rows_of(desk, run) == []
    assert await sight(desk, run) == before
    assert await archived(desk, run) == 0


async def test_what_comes_late_is_numbered_on_and_read_after_the_archive(desk: Desk) -> None:
    run, twin = await ended(desk), await ended(desk)
    await archived(desk, run)

    for each in (run, twin):
        await appended(desk, each, *entries(9))

    ours, theirs = await sight(desk, run), await sight(desk, twin)
    assert (ours.logs, ours.pages) == (theirs.logs, theirs.pages)
    assert [event.number for event in ours.stream] == list(range(1, 42))
    assert await archived(desk, run) == 9
    assert await sight(desk, run) == ours


async def test_a_cursor_leads_on_from_any_event_of_the_archive(desk: Desk) -> None:
    run = await ended(desk)
    await archived(desk, run)
    await appended(desk, run, {"n": 1})

    for cursor in range(34):
        assert numbers(await (await stream(desk, run, last_event_id=str(cursor))).rest()) == list(range(cursor + 1, 34))
    with pytest.raises(InvalidError):
        await stream(desk, run, last_event_id="34")


async def test_a_run_that_was_opened_again_keeps_its_rows(desk: Desk) -> None:
    run = await ended(desk)
    await update_run(desk.backends, desk.caller, desk.project, run.task_id, run.id, RunPatch(status=RunStatus.IN_PROGRESS))

    assert await archived(desk, run) == 0
    assert await removed(desk, run) == 0
    assert len(await rows_of(desk, run)) == 33


async def test_a_run_that_ended_lately_keeps_its_rows(desk: Desk) -> None:
    run = await ended(desk)

    assert await journal_archiving.archive(desk.backends, run.id, desk.backends.clock.now() - timedelta(days=1)) == 0
    assert len(await rows_of(desk, run)) == 32


class FailingStore:
    """A store that fails at the n-th call of one of its methods, or gives other bytes than it took."""

    def __init__(self, store: ObjectStore, method: str, *, spoil: bool = False) -> None:
        self._store = store
        self._method = method
        self._spoil = spoil

    async def put(self, key: str, pieces: AsyncIterator[bytes], *, content_type: str = "") -> ObjectInfo:
        if self._method == "put before":
            raise UnavailableError("the store is down")
        info = await self._store.put(key, pieces, content_type=content_type)
        if self._method == "put after":
            raise UnavailableError("the store went down")
        return info

    async def read(self, key: str) -> StoredObject:
        if self._method == "read":
            raise UnavailableError("the store is down")
        stored = await self._store.read(key)
        return StoredObject(stored.info, _spoiled(stored.pieces)) if self._spoil else stored

    async def delete(self, key: str) -> None:
        await self._store.delete(key)


async def _spoiled(pieces: AsyncIterator[bytes]) -> Any:
    async for piece in pieces:
        yield bytes([piece[0] ^ 1]) + piece[1:]


async def objects(desk: Desk, run: TaskRun) -> tuple[set[str], set[str]]:
    """The archive's objects of a run that its rows name, and those that the collector will look at."""
    async with desk.backends.database.statement() as tx:
        named = await (await tx.connection.execute("SELECT storage_path FROM journal_archives WHERE run_id = %s", [run.id])).fetchall()
        loose = await (
            await tx.connection.execute("SELECT storage_path FROM loose_objects WHERE storage_path LIKE %s", [f"%/{run.id}/%"])
        ).fetchall()
    return {row["storage_path"] for row in named}, {row["storage_path"] for row in loose}


@pytest.mark.parametrize("broken", ["put before", "put after", "read", "spoiled"])
async def test_a_store_that_fails_leaves_every_row_and_nothing_for_ever(desk: Desk, broken: str) -> None:
    run = await ended(desk)
    before = await sight(desk, run)
    store: Any = FailingStore(desk.backends.storage, broken, spoil=broken == "spoiled")

    with pytest.raises(UnavailableError):
        await archived(replace(desk, backends=replace(desk.backends, storage=store)), run)

    assert len(await rows_of(desk, run)) == 32
    named, loose = await objects(desk, run)
    assert (named, len(loose)) == (set(), 1)
    await artifact_collection.collect(later(desk, 2 * LATER).backends)
    assert await desk.backends.storage.head(loose.pop()) is None
    assert await archived(desk, run) == 32
    assert await sight(desk, run) == before


@pytest.mark.parametrize("step", ["claim", "add", "forget"])
async def test_a_transaction_that_is_cut_off_leaves_every_row(desk: Desk, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await ended(desk)
    before = await sight(desk, run)

    async def killed(*arguments: Any, **named: Any) -> Any:
        raise ConnectionResetError

    rooms = {"claim": artifacts, "add": journal_archives, "forget": journal}
    monkeypatch.setattr(rooms[step], step, killed)
    with pytest.raises(ConnectionResetError):
        await archived(desk, run)
    monkeypatch.undo()
    monkeypatch.setattr(journal_segments, "SEGMENT_EVENTS", 7)

    assert await sight(desk, run) == before
    assert len(await rows_of(desk, run)) == 32
    assert (await objects(desk, run))[0] == set()
    assert await archived(desk, run) == 32
    assert await sight(desk, run) == before


async def test_an_object_that_was_collected_while_it_was_written_does_not_count(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await ended(desk)

    async def gone(tx: Transaction, path: str) -> bool:
        return False

    monkeypatch.setattr(artifacts, "claim", gone)
    with pytest.raises(ConflictError):
        await archived(desk, run)

    assert len(await rows_of(desk, run)) == 32


async def test_the_collector_leaves_the_archive_alone(desk: Desk) -> None:
    run = await ended(desk)
    before = await sight(desk, run)
    await archived(desk, run)

    named, loose = await objects(desk, run)
    assert (len(named), loose) == (5, set())
    async with desk.backends.database.transaction() as tx:
        for path in named:
            assert not await artifacts.let_go(tx, path, later(desk, 100 * LATER).backends.clock.now())
    assert await sight(desk, run) == before


async def test_an_archive_whose_object_is_gone_is_an_error_and_no_gap(desk: Desk) -> None:
    run = await ended(desk)
    await archived(desk, run)
    named, _ = await objects(desk, run)
    await desk.backends.storage.delete(sorted(named)[1])

    with pytest.raises(UnavailableError, match="events 8 to 14 of this run"):
        await lines(desk, run)
    with pytest.raises(UnavailableError, match="events 8 to 14 of this run"):
        await found(desk, run)
    with pytest.raises(UnavailableError, match="events 8 to 14 of this run"):
        await (await stream(desk, run)).rest()
    assert len(await (await stream(desk, run, last_event_id="14")).rest()) == 18


async def test_a_removed_journal_says_so_to_every_reader(desk: Desk) -> None:
    run = await ended(desk)
    await archived(desk, run)
    await appended(desk, run, {"n": 1})
    paths, _ = await objects(desk, run)

    assert await removed(desk, run) == 33

    marker = json.loads((await lines(desk, run))[0])
    assert marker["notification"]["method"] == "_hedgerow/journal_removed"
    assert marker["notification"]["params"]["last"] == 33
    assert await found(desk, run) == ([marker], 1, 1, False)
    assert await found(desk, run, event_types=("a",)) == ([], 1, 0, False)
    assert numbers(await (await stream(desk, run)).rest()) == [34]
    assert numbers(await (await stream(desk, run, last_event_id="33")).rest()) == [34]
    assert await (await stream(desk, run, last_event_id="34")).rest() == []
    for cursor in ("1", "20", "32"):
        with pytest.raises(InvalidError) as refusal:
            await stream(desk, run, last_event_id=cursor)
        assert refusal.value.detail_code == "journal_removed"
    await artifact_collection.collect(later(desk, 2 * LATER).backends)
    assert [await desk.backends.storage.head(path) for path in paths] == [None] * 5


async def test_a_journal_that_is_archived_while_it_is_read_is_read_whole(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_texts, "PAGE_BYTES", 1_500)
    run = await ended(desk, 60)
    before, array = await lines(desk, run), (await found(desk, run))[0]

    reader = await logs.read_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id)
    pages = await logs.session_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id, LogFilters())
    begun = [await anext(reader), await anext(pages.body)]
    await archived(desk, run)

    assert (begun[0] + await joined(reader)).decode().splitlines() == before
    assert json.loads(begun[1] + await joined(pages.body)) == array
    assert await rows_of(desk, run) == []


async def test_a_journal_that_is_removed_while_it_is_read_says_so_in_the_middle(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_texts, "PAGE_BYTES", 1_500)
    run = await ended(desk, 60)
    before = await lines(desk, run)

    reader = await logs.read_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id)
    begun = await anext(reader)
    await removed(desk, run)

    *told, marker = (begun + await joined(reader)).decode().splitlines()
    assert 0 < len(told) < 60
    assert told == before[: len(told)]
    assert "_hedgerow/journal_removed" in marker


async def test_what_comes_after_a_removal_is_read_and_has_its_own_time(desk: Desk) -> None:
    run = await ended(desk)
    await removed(desk, run)
    assert await removed(desk, run) == 0
    await appended(desk, run, {"n": 1}, {"n": 2})

    assert [json.loads(line).get("n") for line in await lines(desk, run)] == [None, 1, 2]
    assert numbers(await (await stream(desk, run)).rest()) == [33, 34, 35]
    assert await archived(desk, run) == 3
    assert [json.loads(line).get("n") for line in await lines(desk, run)] == [None, 1, 2]
    assert (await found(desk, run, offset=1))[1:] == (3, 3, False)


@pytest.mark.parametrize("moved", [False, True])
async def test_a_row_that_is_missing_is_told_and_counted(desk: Desk, moved: bool, capsys: pytest.CaptureFixture[str]) -> None:
    run = await ended(desk)
    if moved:
        await archived(desk, run)
        await appended(desk, run, *entries(20))
    gap = 40 if moved else 10
    await change(desk, "DELETE FROM journal WHERE run_id = %s AND number IN (%s, %s)", run.id, gap, gap + 1)

    told = [line for line in await lines(desk, run) if "_hedgerow/journal_damaged" in line]
    frames = [frame for frame in await (await stream(desk, run)).rest() if isinstance(frame, JournalEvent)]

    assert [json.loads(line)["notification"]["params"]["first"] for line in told] == [gap]
    assert [json.loads(line)["notification"]["params"]["last"] for line in told] == [gap + 1]
    assert [event.number for event in frames if "journal_damaged" in event.text] == [gap + 1]
    assert "events of a journal are missing" in capsys.readouterr().out
    everything, total, _, _ = await found(desk, run)
    paged = [entry for offset in range(0, total, 4) for entry in (await found(desk, run, offset=offset, limit=4))[0]]
    assert len(everything) == total == len(paged)
    assert [_told(entry) for entry in paged] == [_told(entry) for entry in everything]
    narrowed, _, matching, _ = await found(desk, run, event_types=("a",))
    assert len(narrowed) == matching
    assert sum(_told(entry) == "_hedgerow/journal_damaged" for entry in narrowed) == 1


def _told(entry: Any) -> Any:
    """An entry without the moment at which it was told."""
    return entry["notification"]["method"] if entry["notification"]["method"].startswith("_hedgerow") else entry


@pytest.mark.parametrize("text", ['{"broken": ', "", "5", '["no object"]', '{"one": 1} {"two": 2}', '{"two":\n"lines"}', '{"a": "line"}\n'])
async def test_a_text_that_is_no_json_is_told_in_its_place(desk: Desk, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = await ended(desk)
    await change(desk, "UPDATE journal SET text = %s WHERE run_id = %s AND number = 10", text, run.id)

    texts = [json.loads(line) for line in await lines(desk, run)]
    frames = [json.loads(frame.text) for frame in await (await stream(desk, run)).rest() if isinstance(frame, JournalEvent)]
    entries_found, total, matching, _ = await found(desk, run)

    assert texts[8]["notification"]["params"]["message"] == "Event 10 of this run is damaged: it is no line of JSON."
    assert [_told(frame) for frame in frames[1:31]] == [_told(text) for text in texts]
    assert [_told(entry) for entry in entries_found] == [_told(text) for text in texts]
    assert total == matching == 30
    assert "an event of a journal is damaged" in capsys.readouterr().out


async def test_an_event_of_an_unknown_kind_is_told_and_stops_nobody(desk: Desk) -> None:
    run = await ended(desk)
    await change(desk, "UPDATE journal SET kind = 99 WHERE run_id = %s AND number = 10", run.id)

    frames = await (await stream(desk, run)).rest()

    assert numbers(frames) == list(range(1, 33))
    assert sum(isinstance(frame, JournalEvent) and "journal_damaged" in frame.text for frame in frames) == 1
    assert sum("journal_damaged" in line for line in await lines(desk, run)) == 1
    for filters in ({}, {"exclude_types": ("b",)}):
        entries_found, _, matching, _ = await found(desk, run, **filters, limit=20)
        assert (len(entries_found), matching) == (20, 30 if not filters else 20)
        assert sum("journal_damaged" in json.dumps(entry) for entry in entries_found) == 1


async def test_a_damaged_journal_is_archived_up_to_the_damage_and_told(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    run = await ended(desk)
    await change(desk, "UPDATE journal SET text = 'nonsense' WHERE run_id = %s AND number = 10", run.id)

    assert await archived(desk, run) == 9

    assert await rows_of(desk, run) == list(range(10, 33))
    assert "a damaged journal is not archived any further" in capsys.readouterr().out
    assert len(await lines(desk, run)) == 30


async def test_any_page_is_that_of_a_run_that_was_never_archived(desk: Desk) -> None:
    ours, theirs = await ended(desk, 40), await ended(desk, 40)
    await archived(desk, ours)
    for run in (ours, theirs):
        await appended(desk, run, *entries(15))

    for filters in FILTERS:
        for offset in (0, 1, 6, 7, 8, 13, 20, 39, 40, 41, 54, 55, 56):
            for limit in (1, 7, 100):
                asked = {**filters, "offset": offset, "limit": limit}
                assert await page(desk, ours, **asked) == await page(desk, theirs, **asked), asked


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.one_of(st.none(), st.integers(0, 20)), st.booleans()), max_size=25),
    after=st.one_of(st.none(), st.integers(0, 20)),
    wanted=st.sets(st.sampled_from(["a", "b", "c"])),
    without=st.sets(st.sampled_from(["a", "b", "c"])),
)
def test_a_summary_counts_as_reading_does(rows: list[Any], after: int | None, wanted: set[str], without: set[str]) -> None:
    def moment(second: int | None) -> datetime | None:
        return None if second is None else datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)

    events = [
        KeptEvent(number, EventKind.ENTRY if entry else EventKind.STATE, name, moment(second), "{}")
        for number, (name, second, entry) in enumerate(rows, 1)
    ]
    asked = EntryFilter(after=moment(after), event_types=tuple(wanted), exclude_types=tuple(without))

    counted = summarize(events).matching(asked)

    assert counted in {None, sum(map(asked.passes, events))}
    assert counted is not None or after is not None
    assert list(journal_segments.decode(journal_segments.encode(events))) == events


REQUEST = {"type": "permission_request", "requestId": "r", "options": [], "toolCall": {}}
DAMAGES = ("missing", "kind", "", " ", "5", '{"broken": ', '{"one": 1} {"two": 2}', '{"two":\n"lines"}', "{}\n")


@dataclass(frozen=True)
class Told:
    """An event as readers tell it: with what it says, or with the first and the last of the lost ones that it stands for."""

    number: int
    entry: bool
    name: str
    says: Any


async def _damaged(desk: Desk, names: list[str], damages: Mapping[int, str]) -> tuple[TaskRun, list[Told]]:
    """A run with entries, with requests where they have no name, and with damages at some numbers; and what is to be told of it."""
    run = await desk.run()
    sent = [said(name, text="x" * (n % 7) ** 4) if name else REQUEST for n, name in enumerate(names)]
    await appended(desk, run, *sent, caller=desk.agent(run))
    async with desk.backends.database.statement() as tx:
        events = await journal.read_kept(tx, run.id, 0, 10_000, 10**9)
    told: list[Told] = []
    for event in events:
        number, damage = event.number, damages.get(event.number)
        if damage is None:
            told.append(Told(number, event.kind is EventKind.ENTRY, event.event_type, json.loads(event.text)))
        elif damage == "missing":
            await change(desk, "DELETE FROM journal WHERE run_id = %s AND number = %s", run.id, number)
            first = told.pop().says[0] if told and damages.get(number - 1) == "missing" else number
            told.append(Told(number, True, "a", (first, number)))
        elif damage == "kind":
            await change(desk, "UPDATE journal SET kind = 99 WHERE run_id = %s AND number = %s", run.id, number)
            told.append(Told(number, True, event.event_type, (number, number)))
        else:
            await change(desk, "UPDATE journal SET text = %s WHERE run_id = %s AND number = %s", damage, run.id, number)
            told.append(Told(number, event.kind is EventKind.ENTRY, event.event_type, (number, number)))
    return run, told


def _heard(entry: Any) -> Any:
    """What an entry says, or which events it stands for."""
    if entry.get("notification", {}).get("method") != "_hedgerow/journal_damaged":
        return entry
    return entry["notification"]["params"]["first"], entry["notification"]["params"]["last"]


@settings(max_examples=12, deadline=None, derandomize=True, report_multiple_bugs=False, suppress_health_check=list(HealthCheck))
@given(
    names=st.lists(st.sampled_from(["", "a", "a", "b"]), min_size=1, max_size=150),
    damages=st.dictionaries(st.one_of(st.integers(1, 12), st.integers(1, 151)), st.sampled_from(DAMAGES), max_size=5),
    limit=st.integers(1, 20),
)
async def test_all_readers_tell_the_same_of_a_damaged_journal(desk: Desk, names: list[str], damages: dict[int, str], limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_texts, "PAGE_BYTES", 6_000)
        run, told = await _damaged(desk, names, damages)

        logged = [_heard(json.loads(line)) for line in await lines(desk, run)]
        frames = await _stored(desk, run)
        assert [_heard(json.loads(frame.text)) for frame in frames] == [event.says for event in told]
        assert [frame.number for frame in frames] == [event.number for event in told]
        assert logged == [event.says for event in told if event.entry]
        narrowed = [event.says for event in told if event.entry and event.name == "a"]
        paged, counts = await _paged(desk, run, limit, len(narrowed), event_types=("a",))
        assert (paged, counts) == (narrowed, {(len(logged), len(narrowed))})
        lost = [number for number, damage in damages.items() if damage in {"missing", "kind"} and number < len(names) + 2]
        if all(number > 1 and names[number - 2] for number in lost):  # other events are not counted, and are missed where they show
            assert (await _paged(desk, run, limit, len(logged)))[0] == logged

        await end(desk, run)
        await archived(desk, run)  # up to the first damage
        assert [_heard(json.loads(line)) for line in await lines(desk, run)] == logged
        assert [_heard(json.loads(frame.text)) for frame in await _stored(desk, run)][: len(told)] == [event.says for event in told]
        assert await _paged(desk, run, limit, len(narrowed), event_types=("a",)) == (narrowed, counts)


async def _paged(desk: Desk, run: TaskRun, limit: int, matching: int, **filters: Any) -> tuple[list[Any], set[tuple[int, int]]]:
    """What session_logs shows page by page, and all counts that it gives."""
    pages = [await found(desk, run, **filters, offset=offset, limit=limit) for offset in range(0, matching + 1, limit)]
    return [_heard(entry) for page in pages for entry in page[0]], {page[1:3] for page in pages}


async def _stored(desk: Desk, run: TaskRun) -> list[JournalEvent]:
    """What a stream shows of what is stored now."""
    events: list[JournalEvent] = []
    while page := await journal_events.page(desk.backends, run.id, events[-1].number if events else 0):
        events += page
    return events
