"""From a sandbox to the control plane's API."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from hedgerow.gate import CONTROL_SOCKET, Gate
from tests.gate.conftest import OK, RUN, Server, Visit, ask


async def test_method_path_query_and_authorization_pass(client: httpx.AsyncClient, origin: Server) -> None:
    answer = await client.get("/api/projects/1/?a=%2F&b", headers={"Authorization": "Bearer token", "Idempotency-Key": "7"})
    assert (answer.status_code, answer.text) == (200, "ok")
    lines = origin.heads[0].lower().splitlines()
    assert lines[0] == "get /api/projects/1/?a=%2f&b http/1.1"
    assert {"authorization: bearer token", "idempotency-key: 7", f"host: 127.0.0.1:{origin.port}"} <= set(lines)


async def test_headers_of_the_connection_and_claims_about_the_caller_are_dropped(raw: Visit, origin: Server) -> None:
    dropped = [
        b"Connection: keep-alive, X-Own",
        b"X-Own: 1",
        b"Keep-Alive: 5",
        b"TE: trailers",
        b"X-Forwarded-For: 10.0.0.1",
        b"X-Forwarded-Proto: https",
        b"Forwarded: for=1",
        b"Proxy-Authorization: Basic x",
        b"X-Real-IP: 1.2.3.4",
    ]
    await raw.say(b"GET /api/ HTTP/1.1\r\nHost: evil\r\nX-Kept: 1\r\n" + b"\r\n".join(dropped) + b"\r\n\r\n")
    await raw.head()
    assert set(origin.heads[0].splitlines()[1:]) == {f"Host: 127.0.0.1:{origin.port}", "X-Kept: 1", ""}


async def test_the_gate_itself_says_how_long_an_agent_may_go_on(origin: Server, sockets: Path) -> None:
    left = [2.5]
    gate = Gate(control_plane_url=f"http://127.0.0.1:{origin.port}", lease_seconds_left=lambda: left[0])
    await gate.open(RUN, sockets, frozenset(), None)
    transport = httpx.AsyncHTTPTransport(uds=str(sockets / CONTROL_SOCKET), verify=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
        answers = [await client.get("/lease"), await client.request("GET", "/lease", content=b"a body")]
        assert [answer.json() for answer in answers] == [{"seconds": 2.5}] * 2
        assert (await client.get("/api/")).text == "ok", "the connection goes on"
        left[0] = 0.0
        assert (await client.get("/lease")).status_code == 503
        assert origin.visits == 1
        await gate.close(RUN)
        with pytest.raises(httpx.TransportError):
            await client.get("/lease")
    await gate.stop()


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/health",
        "/apix/",
        "/api",
        "/api/../health",
        "/api/%2e%2e/health",
        "/api/a/%2E./x",
        "/api/..%2fhealth",
        "/api\\..\\health",
        "http://other/api/",
        "//api/",
        "*",
    ],
)
async def test_nothing_but_the_api_is_reached(gate: Gate, sockets: Path, origin: Server, target: str) -> None:
    answer = await ask(sockets / CONTROL_SOCKET, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert answer.split(b" ")[1] in {b"404", b"400"}
    assert origin.visits == 0


async def test_bodies_of_both_framings_arrive_whole(client: httpx.AsyncClient, origin: Server) -> None:
    async def play(visit: Visit) -> None:
        head = await visit.head()
        length = int(head.lower().split("content-length: ")[1].split("\r")[0])
        body = await visit.reader.readexactly(length)
        await visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))

    origin.play = play
    body = bytes(range(256)) * 8000
    assert (await client.post("/api/x", content=body)).content == body


async def test_a_body_in_chunks_stays_in_chunks(client: httpx.AsyncClient, origin: Server) -> None:
    seen = bytearray()

    async def play(visit: Visit) -> None:
        assert "Transfer-Encoding: chunked" in await visit.head()
        while size := int(await visit.reader.readline(), 16):
            seen.extend((await visit.reader.readexactly(size + 2))[:-2])
        await visit.reader.readline()
        await visit.say(OK)

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(500):
            yield b"%06d" % number * 100

    origin.play = play
    assert (await client.post("/api/x", content=pieces())).status_code == 200
    assert bytes(seen) == b"".join([b"%06d" % number * 100 for number in range(500)])


async def test_a_server_that_does_not_read_holds_the_sender_back(raw: Visit, origin: Server) -> None:
    release = asyncio.Event()

    async def play(visit: Visit) -> None:
        await visit.head()
        await release.wait()

    origin.play = play
    await raw.say(b"POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
    sent = 0
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(0.4):
            while sent < 64_000_000:
                await raw.say(b"x" * 65536)
                sent += 65536
    assert sent < 64_000_000
    release.set()


async def test_events_pass_one_by_one(client: httpx.AsyncClient, origin: Server) -> None:
    go_on = asyncio.Event()

    async def play(visit: Visit) -> None:
        await visit.head()
        await visit.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
        await go_on.wait()
        await visit.say(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    origin.play = play
    async with client.stream("GET", "/api/stream/") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "data: 1"
        go_on.set()
        assert [line async for line in lines if line] == ["data: 2"]


async def test_a_client_that_leaves_a_stream_ends_it_at_the_server(client: httpx.AsyncClient, origin: Server) -> None:
    async def play(visit: Visit) -> None:
        await visit.head()
        await visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
        assert await visit.reader.read() == b""

    origin.play = play
    async with client.stream("GET", "/api/stream/") as answer:
        assert await anext(answer.aiter_raw()) == b"hi"
    await asyncio.wait_for(origin.left.wait(), 5)


async def test_connections_are_kept(client: httpx.AsyncClient, origin: Server) -> None:
    for _ in range(3):
        assert (await client.get("/api/")).text == "ok"
    assert origin.visits == 1


async def test_requests_sent_ahead_are_answered_in_order(raw: Visit, origin: Server) -> None:
    await raw.say(b"".join(b"GET /api/%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(3)))
    for _ in range(3):
        assert "200 OK" in await raw.head()
        assert await raw.reader.readexactly(2) == b"ok"
    assert [head.split()[1] for head in origin.heads] == ["/api/0", "/api/1", "/api/2"]


async def test_a_control_plane_that_is_away_is_told_and_then_found_again(sockets: Path, unused_port: int) -> None:
    gate = Gate(control_plane_url=f"http://127.0.0.1:{unused_port}")
    await gate.open(RUN, sockets, frozenset(), None)
    transport = httpx.AsyncHTTPTransport(uds=str(sockets / CONTROL_SOCKET), verify=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
        answer = await client.post("/api/x", content=b"x" * 1_000_000)
        assert answer.status_code == 502
        assert answer.json() == {"error": f"The control plane at 127.0.0.1:{unused_port} does not answer."}
        server = await asyncio.start_server(Server().serve, "127.0.0.1", unused_port)
        assert (await client.get("/api/x")).status_code == 200
        server.close()
    await gate.stop()


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"])
async def test_an_answer_that_is_none_is_a_502(client: httpx.AsyncClient, origin: Server, answer: bytes) -> None:
    async def play(visit: Visit) -> None:
        await visit.head()
        await visit.say(answer)

    origin.play = play
    assert (await client.get("/api/")).status_code == 502


@pytest.mark.parametrize("framing", [b"Content-Length: 10\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"])
async def test_an_answer_that_breaks_off_does_not_look_complete(client: httpx.AsyncClient, origin: Server, framing: bytes) -> None:
    async def play(visit: Visit) -> None:
        await visit.head()
        await visit.say(b"HTTP/1.1 200 OK\r\n" + framing)

    origin.play = play
    with pytest.raises(httpx.TransportError):
        await client.get("/api/")


async def test_an_answer_that_ends_with_its_connection_is_complete(client: httpx.AsyncClient, origin: Server) -> None:
    async def play(visit: Visit) -> None:
        await visit.head()
        await visit.say(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    origin.play = play
    assert (await client.get("/api/")).text == "all of it"


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_keep_the_connection(client: httpx.AsyncClient, origin: Server, status: int) -> None:
    async def play(visit: Visit) -> None:
        while True:
            await visit.head()
            await visit.say(b"HTTP/1.1 %d X\r\nETag: a\r\n\r\n" % status)

    origin.play = play
    for _ in range(2):
        assert (await client.get("/api/")).status_code == status
    assert origin.visits == 1


async def test_the_answer_to_head_has_a_length_and_no_body(client: httpx.AsyncClient, origin: Server) -> None:
    async def play(visit: Visit) -> None:
        await visit.head()
        await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")

    origin.play = play
    answers = [await client.head("/api/") for _ in range(2)]
    assert [answer.headers["content-length"] for answer in answers] == ["1000", "1000"]


async def test_an_answer_before_the_whole_request_is_passed_on(client: httpx.AsyncClient, origin: Server) -> None:
    async def play(visit: Visit) -> None:
        await visit.head()
        await visit.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        while await visit.reader.read(65536):
            pass

    origin.play = play
    answer = await client.post("/api/x", content=b"x" * 3_000_000)
    assert (answer.status_code, answer.text) == (413, "big")


async def test_redirects_are_passed_on_and_not_followed(client: httpx.AsyncClient, origin: Server) -> None:
    async def play(visit: Visit) -> None:
        await visit.head()
        await visit.say(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")

    origin.play = play
    answer = await client.get("/api/")
    assert (answer.status_code, answer.headers["location"]) == (302, "http://127.0.0.1:1/")
    assert origin.visits == 1


async def test_a_client_that_asks_before_it_sends_is_told_to_go_on(raw: Visit, origin: Server) -> None:
    async def play(visit: Visit) -> None:
        assert "expect" not in (await visit.head()).lower()
        await visit.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        await visit.reader.readexactly(2)
        await visit.say(OK)

    origin.play = play
    await raw.say(b"POST /api/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert await raw.head() == "HTTP/1.1 100 Continue\r\n\r\n"
    await raw.say(b"hi")
    assert "200 OK" in await raw.head()


async def test_an_old_client_gets_an_answer_that_it_understands(gate: Gate, sockets: Path, origin: Server) -> None:
    async def play(visit: Visit) -> None:
        await visit.head()
        await visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")

    origin.play = play
    answer = await ask(sockets / CONTROL_SOCKET, b"GET /api/ HTTP/1.0\r\n\r\n")
    assert answer == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi"


async def test_a_wish_for_another_protocol_is_not_passed_on(gate: Gate, sockets: Path, origin: Server) -> None:
    request = b"GET /api/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /health HTTP/1.1\r\n\r\n"
    assert (await ask(sockets / CONTROL_SOCKET, request)).endswith(b"ok")
    assert len(origin.heads) == 1
    assert "upgrade" not in origin.heads[0].lower()


SMUGGLING = [
    b"POST /api/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /api/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /api/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"POST /api/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"GET /api/ HTTP/1.1\r\nHost : x\r\n\r\n",
    b"GET /api/ HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
    b"GET /api/ HTTP/1.1\nHost: x\n\n",
    b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x00\xa5\x01\x00\x00",
]


@pytest.mark.parametrize("request_bytes", SMUGGLING)
async def test_ambiguous_and_foreign_messages_are_refused(gate: Gate, sockets: Path, origin: Server, request_bytes: bytes) -> None:
    answer = await ask(sockets / CONTROL_SOCKET, request_bytes)
    assert answer.split(b" ")[1] in {b"400", b"404", b"501"}
    assert origin.visits == 0


async def test_a_chunk_that_is_none_cuts_the_request_at_the_server_too(raw: Visit, origin: Server) -> None:
    began = asyncio.Event()

    async def play(visit: Visit) -> None:
        await visit.head()
        began.set()
        assert not (await visit.reader.read()).endswith(b"0\r\n\r\n")

    origin.play = play
    await raw.say(b"POST /api/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    await began.wait()
    await raw.say(b"3\r\nabc\r\nnonsense\r\n")
    assert "400" in await raw.head()
    await asyncio.wait_for(origin.left.wait(), 5)
