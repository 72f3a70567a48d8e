from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from hedgerow.client import BrokenOffError, Client, ClientError, Credentials, Retries, RunId, UnreachableError
from hedgerow.client.calls import Call
from tests.client.fake_server import KEY, FakeServer


def paths(server: FakeServer) -> list[str]:
    return [f"{method} {path.rsplit('/', 2)[-2]}" for method, path, _ in server.requests]


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_server_that_starts_or_stops_is_asked_again_after_growing_pauses(
    server: FakeServer, client: Client, waits: list[float], status: int
) -> None:
    server.stumbles = [(status, {})] * 3
    assert list(client.list_tasks()) == []
    assert waits == [0.2, 0.4, 0.8]


def test_tries_are_bounded_and_the_last_answer_is_the_error(server: FakeServer, client: Client, waits: list[float]) -> None:
    server.stumbles = [(503, {})] * 9
    with pytest.raises(ClientError, match="503") as raised:
        client.list_tasks()
    assert raised.value.status == 503
    assert len(server.requests) == 1 + Retries().most == len(waits) + 1


def test_a_post_that_hears_a_key_is_made_again_under_the_same_one(server: FakeServer, client: Client) -> None:
    server.stumbles = [(503, {}), (502, {})]
    client.create_task(description="once")
    assert len(server.requests) == 3
    assert len(set(server.keys)) == 1
    assert server.keys[0] != ""


def test_a_post_that_might_be_done_twice_is_not_made_again(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task())
    server.stumbles = [(503, {})]
    with pytest.raises(ClientError, match="503"):
        client.relay_message(run, "Hello")
    server.drop_connections = 1
    with pytest.raises(UnreachableError):
        client.resume_in_cloud(run)
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [502, 504])
def test_an_answer_about_the_agent_is_the_answer_of_a_command(server: FakeServer, client: Client, status: int) -> None:
    run = server.add_run(server.add_task())
    server.stumbles = [(status, {})]
    with pytest.raises(ClientError, match=str(status)):
        client.cancel_turn(run)
    assert len(server.requests) == 1


def test_a_client_that_asks_too_often_waits_as_long_as_the_server_wishes(server: FakeServer, client: Client, waits: list[float]) -> None:
    run = server.add_run(server.add_task())
    server.stumbles = [(429, {"Retry-After": "7"}), (429, {})]
    with pytest.raises(ClientError, match="Not found"):
        client.relay_message(RunId(run.task_id, "missing"), "Said although it may not be said twice: nothing was done")
    assert waits == [7.0, 0.4]


def test_a_server_that_wishes_too_long_a_pause_is_not_asked_again(server: FakeServer, client: Client, waits: list[float]) -> None:
    server.stumbles = [(429, {"Retry-After": "3600"})]
    with pytest.raises(ClientError) as raised:
        client.list_tasks()
    assert (raised.value.status, waits) == (429, [])


def test_a_wish_may_be_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    for header, least, most in ((soon, 25, 30), ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 0), ("nonsense", 0.2, 0.2)):
        delay = Retries().after_refusal(Call(method="GET", path="/"), 0, httpx.Response(429, headers={"Retry-After": header}))
        assert delay is not None
        assert least <= delay <= most


def test_a_delete_whose_answer_was_lost_has_been_done(server: FakeServer, client: Client) -> None:
    server.drop_connections = 1
    client.delete_task("0199aaaa-0000-7000-8000-000000000000")
    assert paths(server) == ["DELETE 0199aaaa-0000-7000-8000-000000000000"] * 2
    with pytest.raises(ClientError, match="Not found"):
        client.delete_task("0199aaaa-0000-7000-8000-000000000000")


def test_pauses_and_tries_are_the_callers_choice(server: FakeServer) -> None:
    waits: list[float] = []
    with Client(
        Credentials(server.url, KEY, "1"), retries=Retries(most=3, first_pause_seconds=1, longest_pause_seconds=2), pause=waits.append
    ) as client:
        server.stumbles = [(503, {})] * 9
        with pytest.raises(ClientError, match="503"):
            client.health()
    assert waits == [1, 2, 2]


def test_a_stream_without_a_sign_of_life_is_given_up(server: FakeServer) -> None:
    run = server.add_run(server.add_task())
    with Client(Credentials(server.url, KEY, "1"), silence_seconds=0.2) as client, pytest.raises(BrokenOffError):
        list(client.stream(run))
    assert len(server.requests) == 1
