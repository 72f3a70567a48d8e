"""Streams end when the server stops: the handler sees its client leave, the client a clean end."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from hedgerow.cli.leaving import EndsStreams


class _Client:
    """Sends one request and then stays, and keeps what it is answered."""

    def __init__(self) -> None:
        self.answered: list[Message] = []
        self._requests: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive(self) -> Message:
        if self._requests:
            return self._requests.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Message) -> None:
        self.answered.append(message)


async def _stream_until_the_client_leaves(_scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    assert (await receive())["type"] == "http.disconnect"


async def _answer_at_once(_scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"all"})


async def test_a_stream_ends_cleanly_once_the_server_stops() -> None:
    stop, client = asyncio.Event(), _Client()
    serving = asyncio.create_task(EndsStreams(_stream_until_the_client_leaves, stop)({}, client.receive, client.send))
    done, _ = await asyncio.wait({serving}, timeout=0.05)
    assert not done
    stop.set()
    await asyncio.wait_for(serving, 5)
    assert [message.get("body") for message in client.answered] == [None, b"one", b""]
    assert client.answered[-1]["more_body"] is False


@pytest.mark.parametrize("stopping", [False, True])
async def test_an_answer_that_is_whole_is_left_as_it_is(stopping: bool) -> None:
    stop, client = asyncio.Event(), _Client()
    if stopping:
        stop.set()
    await EndsStreams(_answer_at_once, stop)({}, client.receive, client.send)
    assert [message.get("body") for message in client.answered] == [None, b"all"]
