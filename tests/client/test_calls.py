import pytest

from hedgerow.client import Client, ClientError, Credentials, UnreachableError
from tests.client.fake_server import FakeServer, said


def test_a_task_is_made_run_and_read_back(server: FakeServer, client: Client) -> None:
    task = client.create_task(description="Fix it", repository="a/b")
    started = client.run_task(task, mode="background")
    assert started.latest_run is not None
    assert client.retrieve_task(task.id).slug == "FAK-0"
    assert [run.id for run in client.list_runs(task)] == [started.latest_run.id]
    assert client.retrieve_run(started.latest_run).end_reason is None
    assert [known.id for known in client.list_tasks()] == [task.id]


def test_the_servers_own_sentence_is_the_error(server: FakeServer, client: Client) -> None:
    server.refusals["/run/"] = (
        400,
        {"type": "validation_error", "code": "invalid_input", "detail": "There is no such model.", "attr": "model"},
    )
    with pytest.raises(ClientError, match=r"^model: There is no such model\.$|^There is no such model\.$") as raised:
        client.run_task(server.add_task())
    assert (raised.value.status, raised.value.code) == (400, "invalid_input")


def test_an_answer_without_a_sentence_is_named_by_its_number(server: FakeServer, client: Client) -> None:
    server.refusals["/tasks/"] = (502, {})
    with pytest.raises(ClientError, match="502"):
        client.list_tasks()


def test_a_key_that_is_not_known_is_said(server: FakeServer) -> None:
    with Client(Credentials(server.url, "phx_other", "1")) as client, pytest.raises(ClientError, match="not known"):
        client.list_tasks()


def test_an_error_of_the_agent_is_an_error(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task())
    server.refusals["/command/"] = (200, {"jsonrpc": "2.0", "id": "1", "error": {"code": -32000, "message": "The agent is busy."}})
    with pytest.raises(ClientError, match="The agent is busy"):
        client.set_config_option(run, "a", "b")


def test_a_call_whose_connection_broke_is_made_again_under_the_same_key(server: FakeServer, client: Client) -> None:
    server.drop_connections = 1
    client.create_task(description="once")
    assert len(server.requests) == 2
    assert server.keys[0] == server.keys[1] != ""


def test_nobody_at_the_address_is_its_own_error() -> None:
    with (
        Client(Credentials("http://127.0.0.1:9", "k", "1"), pause=lambda _: None) as client,
        pytest.raises(UnreachableError, match=r"does not answer at http://127\.0\.0\.1:9"),
    ):
        client.list_tasks()


def test_session_logs_are_read_page_by_page(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task())
    server.happen(run, *(said(str(number)) for number in range(5)))
    assert len(list(client.iterate_session_logs(run, page=2))) == 5
    assert sum(path.endswith("/session_logs/") for _, path, _ in server.requests) == 3


def test_logs_come_line_by_line_whatever_characters_they_hold(server: FakeServer, client: Client) -> None:
    run = server.add_run(server.add_task())
    server.happen(run, said("a\u2028b"), said("c"))
    assert len(list(client.read_logs(run))) == 2
