"""Bars of whole runs: real processes, a real agent that plays a script."""

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from hedgerow.db.embedded import EmbeddedPostgres
from tests.bars.test_wake_ups import drop_every_notify
from tests.end_to_end.conftest import houses_on
from tests.end_to_end.house import House, methods

pytestmark = [pytest.mark.bars, pytest.mark.timeout(300)]

FRAMES = 10_000


@pytest.fixture
def make_house(runtime_folder: Path) -> Iterator[Callable[..., House]]:
    """Makes houses."""
    with houses_on(runtime_folder) as make:
        yield make


def database_url(house: House) -> str:
    """Where the database of a house that runs is reached."""
    postgres = EmbeddedPostgres(house.data_dir)
    try:
        return postgres.start_or_join()
    finally:
        postgres.leave()


def test_ids(make_house: Callable[..., House]) -> None:
    house = make_house()
    house.up()
    talk = {"say": {"text": "word " * 500, "delay_seconds": 0.01}}
    run = house.run([talk, {"burst": {"count": FRAMES, "text": "line"}}, talk])
    ids, others = [], 0
    with house.client() as http, http.stream("GET", f"{run.path}stream/", headers={"Accept": "text/event-stream"}) as answer:
        for frame in _frames(answer.iter_lines()):
            named = [line for line in frame if line.startswith("id:")]
            ids += [int(line[3:]) for line in named]
            others += not named
    with psycopg.connect(database_url(house)) as connection:
        durable = {number for (number,) in connection.execute("SELECT number FROM journal WHERE run_id = %s", [run.id])}
    assert len(ids) + others >= FRAMES
    assert all(first < second for first, second in pairwise(ids))
    assert set(ids) == durable
    assert others > 0, "there were previews among them"


def _frames(lines: Iterator[str]) -> Iterator[list[str]]:
    """The frames of a stream, without comments."""
    frame: list[str] = []
    for line in lines:
        if line and not line.startswith(":"):
            frame.append(line)
        elif frame and not line:
            yield frame
            frame = []


def test_wake_ups_only_nudge_messages_and_cancels(make_house: Callable[..., House]) -> None:
    house = make_house()
    api = house.start("api", "--port", "0")
    url = api.said[-1].split()[-1]
    house.settings |= {"HEDGEROW_CONTROL_PLANE_URL": url, "HEDGEROW_PORT": url.rpartition(":")[2]}
    drop_every_notify(database_url(house))
    api.stop()
    house.start("api")
    house.start("worker")
    talk = house.run([{"say": "Hello."}], mode="interactive")
    assert talk.command("user_message", content=json.dumps({"steps": [{"say": "Once more."}]})).status_code == 200
    told = 0
    for _, event in talk.events():
        told += methods([event]) == ["_posthog/turn_complete"]
        if told == 2:
            break
    talk.patch(status="completed")
    assert talk.ended()["state"]["end_reason"] is not None
    assert [number for number, _ in talk.events()] == list(range(1, len(list(talk.events())) + 1))
    long = house.run([{"sleep": 200}])
    long.await_event("_posthog/run_started")
    long.await_event("session/prompt")
    assert long.command("cancel").status_code == 200
    ended = long.ended()
    assert (ended["status"], ended["state"]["end_reason"]) == ("cancelled", "cancelled")
    assert house.leaves_nothing()
