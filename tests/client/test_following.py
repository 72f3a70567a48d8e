import json
from collections.abc import Iterable
from typing import Any

import pytest

from hedgerow.client import Client, ClientError, Credentials, Cut, Ended, Received, RunId, UnreachableError, Update
from hedgerow.domain.runs import RunStatus
from tests.client.fake_server import KEY, FakeRun, FakeServer, said, step


def texts(updates: Iterable[Update]) -> list[Any]:
    return [update.data["notification"]["params"]["update"]["content"]["text"] for update in updates if isinstance(update, Received)]


def test_each_event_comes_once_and_in_order_although_the_stream_is_cut_in_the_middle_of_events(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task(), FakeRun(cuts=[2, 0, 3]))
    server.happen(run, *(said(str(number)) for number in range(1, 10)))
    server.end(run)
    updates = list(client.follow(run))
    assert texts(updates) == [str(number) for number in range(1, 10)]
    assert run.cursors == [None, "2", "2", "5"]
    assert sum(isinstance(update, Cut) for update in updates) == 3
    assert isinstance(updates[-1], Ended)
    assert updates[-1].run.status is RunStatus.COMPLETED


def test_a_preview_that_is_lost_in_a_cut_leaves_the_durable_events_whole(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task(), FakeRun(cuts=[1]))
    server.happen(run, said("one"), said("tw", "agent_message_chunk"), said("two"))
    server.end(run)
    assert texts(client.follow(run)) == ["one", "two"]


def test_following_begins_strictly_after_a_cursor(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task())
    server.happen(run, said("one"), said("two"), said("three"))
    server.end(run)
    assert texts(client.follow(run, cursor="2")) == ["three"]


def test_a_line_separator_inside_of_an_event_does_not_end_it(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task())
    strange = "a\u2028b\u0085c"
    with server.changed:
        run.events.append((1, json.dumps(said(strange), ensure_ascii=False)))
    server.end(run)
    assert texts(client.follow(run)) == [strange]


def test_a_run_that_is_not_there_is_said_at_once(server: FakeServer, client: Client) -> None:
    task_id = server.add_task()
    with pytest.raises(ClientError, match="Not found") as raised:
        list(client.follow(RunId(task_id, "0199aaaa-0000-7000-8000-000000000000")))
    assert raised.value.status == 404


def test_patience_ends_with_a_sentence_about_the_address() -> None:
    waits: list[float] = []
    with (
        Client(Credentials("http://127.0.0.1:9", KEY, "1"), pause=waits.append) as client,
        pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9"),
    ):
        list(client.follow(RunId("t", "r"), patience_seconds=3))
    assert waits[:3] == [0.2, 0.4, 0.8]
    assert max(waits) < 3


def test_the_pauses_between_tries_stay_bounded(server: FakeServer) -> None:
    waits: list[float] = []
    with Client(Credentials(server.url, KEY, "1"), pause=waits.append) as client:
        run = server.add_run(server.add_task(), FakeRun(cuts=[0] * 8))
        server.happen(run, said("at last"))
        server.end(run)
        assert texts(client.follow(run)) == ["at last"]
    assert waits == sorted(waits)
    assert len(waits) == 8
    assert max(waits) == 5


def test_the_stream_so_far_ends_at_the_present_of_a_living_run(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task())
    assert list(client.read_stream_so_far(run)) == []
    server.happen(run, step("sandbox", "completed"), {"type": "permission_request", "requestId": "q"})
    assert [event.data["type"] for event in client.read_stream_so_far(run)] == ["notification", "permission_request"]


def test_a_connection_without_a_sign_of_life_is_taken_for_dead(server: FakeServer) -> None:
    run = server.add_run(server.add_task())
    server.happen(run, said("one"))

    def go_on(_: float) -> None:
        server.happen(run, said("two"))
        server.end(run)

    with Client(Credentials(server.url, KEY, "1"), silence_seconds=0.3, pause=go_on) as client:
        updates = list(client.follow(run))
    assert texts(updates) == ["one", "two"]
    assert run.cursors == [None, "1"]
    assert [type(update) for update in updates] == [Received, Cut, Received, Ended]


def test_a_stream_that_ends_while_the_run_goes_on_is_opened_again_after_its_last_event(server: FakeServer) -> None:
    run = server.add_run(server.add_task(), FakeRun(clean_ends=[1, 2]))
    server.happen(run, said("one"), said("two"), said("three"), said("four"))
    with Client(Credentials(server.url, KEY, "1"), pause=lambda _: server.end(run) if len(run.cursors) > 1 else None) as client:
        updates = list(client.follow(run))
    assert texts(updates) == ["one", "two", "three", "four"]
    assert run.cursors == [None, "1", "3"]
    assert not [update for update in updates if isinstance(update, Cut)]


def test_a_server_that_restarts_is_waited_for(server: FakeServer, client: Client, waits: list[float]) -> None:
    run = server.add_run(server.add_task())
    server.happen(run, said("one"))
    server.end(run)
    server.stumbles = [(503, {}), (502, {})]
    server.drop_connections = 1
    assert texts(client.follow(run)) == ["one"]
    assert waits == [0.2, 0.4, 0.8]


def test_a_cursor_that_is_none_is_told(server: FakeServer, client: Client, waits: list[float]) -> None:
    run = server.add_run(server.add_task())
    problem = {"type": "invalid_request", "code": "invalid_cursor", "detail": "That is beyond the end.", "attr": None}
    server.refusals["/stream/"] = (400, problem)
    with pytest.raises(ClientError, match="beyond the end") as raised:
        list(client.follow(run, "99"))
    assert (raised.value.code, waits) == ("invalid_cursor", [])


def test_numbers_and_characters_that_the_fast_parser_refuses_are_read(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task())
    with server.changed:
        run.events.append(
            (1, '{"type":"notification","number":123456789012345678901234567890,"huge":1' + "0" * 5000 + ',"text":"\\ud800"}')
        )
    server.end(run)
    (event,) = [update for update in client.follow(run) if isinstance(update, Received)]
    assert event.data == {"type": "notification", "number": 123456789012345678901234567890, "huge": float("inf"), "text": "\ud800"}
