"""From a sandbox to the hosts on its list, and to no other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from hedgerow.domain.sandboxes import HostPort, PublicHosts
from hedgerow.gate import EGRESS_SOCKET, Gate
from hedgerow.gate.streams import Connection
from tests.gate.conftest import LIMITS, RUN, Server, Visit, ask, dial, echo


def connect(target: str) -> bytes:
    """A CONNECT request."""
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()


async def test_a_listed_address_is_connected_both_ways_with_half_closed_ends(proxy: Visit, origin: Server) -> None:
    origin.play = echo
    await proxy.say(connect(f"127.0.0.1:{origin.port}") + b"early ")
    assert await proxy.head() == "HTTP/1.1 200 Connection established\r\n\r\n"
    await proxy.say(b"late")
    proxy.writer.write_eof()
    assert await proxy.reader.read() == b"early late"


async def test_much_data_passes_a_slow_reader_unharmed(proxy: Visit, origin: Server) -> None:
    origin.play = echo
    body = bytes(range(256)) * 20_000
    await proxy.say(connect(f"127.0.0.1:{origin.port}"))
    await proxy.head()

    async def send() -> None:
        await proxy.say(body)
        proxy.writer.write_eof()

    sending = asyncio.create_task(send())
    assert await proxy.reader.readexactly(len(body)) == body
    await sending


async def test_a_server_that_ends_first_is_seen_to_end(proxy: Visit, origin: Server) -> None:
    async def play(visit: Visit) -> None:
        await visit.say(b"bye")
        visit.writer.write_eof()
        assert await visit.reader.read() == b"after all"

    origin.play = play
    await proxy.say(connect(f"127.0.0.1:{origin.port}"))
    await proxy.head()
    assert await proxy.reader.read() == b"bye"
    await proxy.say(b"after all")
    proxy.writer.write_eof()
    await asyncio.wait_for(origin.left.wait(), 5)


@pytest.fixture
async def named(origin: Server, sockets: Path) -> AsyncIterator[Gate]:
    """A gate that knows names: one of a model of the operator's own, and some that lead where they should not."""
    names = {
        "model.test": ["127.0.0.1"],
        "inside.test": ["127.0.0.1"],
        "linked.test": ["169.254.169.254"],
        "private.test": ["10.1.2.3", "fd00::1"],
        "mapped.test": ["::ffff:127.0.0.1"],
        "nowhere.test": [],
    }

    async def resolve(host: str, port: int) -> list[str]:
        if host == "unknown.test":
            raise OSError("Name or service not known")
        return names[host]

    listed = {HostPort(name, origin.port) for name in (*names, "unknown.test")}
    trusted = frozenset({HostPort("Model.test", origin.port)})
    made = Gate(control_plane_url="http://127.0.0.1:9", trusted_hosts=trusted, limits=LIMITS, resolve_name=resolve)
    await made.open(RUN, sockets, frozenset(listed), None)
    yield made
    await made.stop()


@pytest.mark.parametrize("host", ["model.test", "MODEL.Test"])
async def test_a_model_of_the_operators_own_network_is_reached_by_name(named: Gate, sockets: Path, origin: Server, host: str) -> None:
    origin.play = echo
    proxy = await dial(sockets / EGRESS_SOCKET)
    await proxy.say(connect(f"{host}:{origin.port}"))
    assert "200" in await proxy.head()
    proxy.writer.close()


@pytest.mark.parametrize("host", ["inside.test", "linked.test", "private.test", "mapped.test"])
async def test_a_listed_name_that_leads_inside_is_refused(named: Gate, sockets: Path, origin: Server, host: str) -> None:
    answer = await ask(sockets / EGRESS_SOCKET, connect(f"{host}:{origin.port}"))
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"leads to an address inside" in answer
    plain = await ask(sockets / EGRESS_SOCKET, f"GET http://{host}:{origin.port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert plain.startswith(b"HTTP/1.1 403 ")
    assert origin.visits == 0


@pytest.mark.parametrize("host", ["unknown.test", "nowhere.test"])
async def test_a_name_without_an_address_does_not_answer(named: Gate, sockets: Path, origin: Server, host: str) -> None:
    answer = await ask(sockets / EGRESS_SOCKET, connect(f"{host}:{origin.port}"))
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert f"'{host}:{origin.port}' does not answer.".encode() in answer


async def test_a_listed_host_that_is_down_does_not_answer(sockets: Path, unused_port: int) -> None:
    gate = Gate(control_plane_url="http://127.0.0.1:9", limits=LIMITS)
    await gate.open(RUN, sockets, frozenset({HostPort("127.0.0.1", unused_port)}), None)
    assert (await ask(sockets / EGRESS_SOCKET, connect(f"127.0.0.1:{unused_port}"))).startswith(b"HTTP/1.1 502 ")
    await gate.stop()


# Each has the port of a listed address, or could be taken for one by somebody.
STRANGERS = [
    "example.com:{port}",
    "127.0.0.1:1",
    "127.0.0.2:{port}",
    "2130706433:{port}",
    "0x7f000001:{port}",
    "0177.0.0.1:{port}",
    "127.1:{port}",
    "127.0.0.1.:{port}",
    "localhost:{port}",
    "[::1]:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "[::ffff:7f00:1]:{port}",
    "[127.0.0.1]:{port}",
    "user@127.0.0.1:{port}",
    "127.0.0.1:{port}@example.com:443",
    "127.0.0.1:{port}#:443",
    "127.0.0.1:0{port}",
    "127.0.0.1:+{port}",
    "127.0.0.1:99999",
    "127.0.0.1:0",
    "127.0.0.1",
    ":{port}",
    "*.example.com:443",
    "a..b:{port}",
]


@pytest.mark.parametrize("target", STRANGERS)
async def test_other_addresses_and_spellings_are_refused(gate: Gate, sockets: Path, origin: Server, target: str) -> None:
    text = target.format(port=origin.port)
    answer = await ask(sockets / EGRESS_SOCKET, connect(text))
    assert answer.split(b" ")[1] in {b"403", b"400"}
    plain = await ask(sockets / EGRESS_SOCKET, f"GET http://{text}/ HTTP/1.1\r\nHost: 127.0.0.1:{origin.port}\r\n\r\n".encode())
    assert plain.split(b" ")[1] in {b"403", b"400"}
    assert origin.visits == 0


async def test_a_trailing_dot_is_another_spelling(named: Gate, sockets: Path, origin: Server) -> None:
    assert (await ask(sockets / EGRESS_SOCKET, connect(f"model.test.:{origin.port}"))).startswith(b"HTTP/1.1 403 ")


async def test_a_refusal_says_what_and_why_and_is_logged_once(gate: Gate, sockets: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            answer = await ask(sockets / EGRESS_SOCKET, connect("example.com:443"))
    assert b"'example.com:443' is not on the list of hosts that this run may reach. HEDGEROW_EGRESS_ALLOW adds to it." in answer
    assert logs == [{"event": "egress refused", "log_level": "info", "run_id": str(RUN), "address": "example.com:443"}]


async def test_plain_http_is_forwarded_with_its_path_alone(proxy: Visit, origin: Server) -> None:
    head = b"Host: lie\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: x\r\nX-Kept: 1\r\n\r\n"
    await proxy.say(b"GET http://127.0.0.1:%d/v1/models?a=b HTTP/1.1\r\n" % origin.port + head)
    assert "200 OK" in await proxy.head()
    assert await proxy.reader.readexactly(2) == b"ok"
    await proxy.say(b"GET http://127.0.0.1:%d HTTP/1.1\r\n" % origin.port + head)
    assert "200 OK" in await proxy.head()
    lines = origin.heads[0].splitlines()
    assert lines[0] == "GET /v1/models?a=b HTTP/1.1"
    assert set(lines[1:]) == {f"Host: 127.0.0.1:{origin.port}", "X-Kept: 1", ""}
    assert origin.heads[1].startswith("GET / HTTP/1.1")


async def test_after_plain_http_another_host_is_still_refused(proxy: Visit, origin: Server) -> None:
    await proxy.say(b"GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: x\r\n\r\n" % origin.port)
    await proxy.head()
    assert await proxy.reader.readexactly(2) == b"ok"
    await proxy.say(b"GET http://127.0.0.2:%d/ HTTP/1.1\r\nHost: x\r\n\r\n" % origin.port)
    assert "403" in await proxy.head()


@pytest.mark.parametrize("target", ["/", "/v1/models", "https://127.0.0.1:{port}/", "ftp://127.0.0.1:{port}/", "*", "http://[::1/"])
async def test_what_is_no_proxy_request_is_told_so(gate: Gate, sockets: Path, origin: Server, target: str) -> None:
    answer = await ask(sockets / EGRESS_SOCKET, f"GET {target.format(port=origin.port)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert origin.visits == 0


async def test_huge_heads_are_refused(gate: Gate, sockets: Path) -> None:
    answer = await ask(sockets / EGRESS_SOCKET, b"CONNECT a:1 HTTP/1.1\r\n" + b"X-Long: " + b"x" * 400_000)
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_a_head_that_drips_is_ended(proxy: Visit) -> None:
    answer = asyncio.create_task(proxy.reader.read())
    with contextlib.suppress(ConnectionError):
        for byte in connect("example.com:443"):
            await proxy.say(bytes([byte]))
            if (await asyncio.wait({answer}, timeout=0.05))[0]:
                break
    assert (await answer).startswith(b"HTTP/1.1 408 ")


async def test_a_silent_connection_is_ended(proxy: Visit) -> None:
    assert await asyncio.wait_for(proxy.reader.read(), 5) == b""


async def test_a_silent_tunnel_is_ended(proxy: Visit, origin: Server) -> None:
    origin.play = echo
    await proxy.say(connect(f"127.0.0.1:{origin.port}"))
    await proxy.head()
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(proxy.reader.read(), 5) == b""
    await asyncio.wait_for(origin.left.wait(), 5)


async def test_a_reader_that_never_reads_is_ended(proxy: Visit, origin: Server) -> None:
    async def play(visit: Visit) -> None:
        await visit.head()
        await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            await visit.say(b"x" * 65536)

    origin.play = play
    await proxy.say(b"GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: x\r\n\r\n" % origin.port)
    await asyncio.wait_for(origin.left.wait(), 5)


async def test_more_connections_than_allowed_are_turned_away(gate: Gate, sockets: Path) -> None:
    held = [await dial(sockets / EGRESS_SOCKET) for _ in range(LIMITS.connections)]
    one_more = await dial(sockets / EGRESS_SOCKET)
    assert (await one_more.reader.read()).startswith(b"HTTP/1.1 503 ")
    for visit in (*held, one_more):
        visit.writer.close()


PUBLIC = "93.184.215.14"
INSIDE = {
    "loopback.test": "127.0.0.1",
    "metadata.test": "169.254.169.254",
    "private.test": "10.1.2.3",
    "shared.test": "100.100.100.200",
    "platform.test": "168.63.129.16",
    "local6.test": "fe80::1",
    "site6.test": "fec0::1",
    "unique6.test": "fd00:ec2::254",
    "mapped.test": "::ffff:10.0.0.1",
    "nat64.test": "64:ff9b::a00:1",
    "unspecified.test": "0.0.0.0",
    "multicast.test": "224.0.0.1",
}


@pytest.fixture
async def reached(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The addresses that a gate has connected to, which lead nowhere here."""
    made: list[tuple[str, int]] = []

    async def open_tcp(host: str, port: int, **_: object) -> Connection:
        made.append((host, port))
        raise ConnectionRefusedError

    monkeypatch.setattr("hedgerow.gate.egress.open_tcp", open_tcp)
    return made


async def answer_of(sockets: Path, public: PublicHosts, target: str, *, trusted: frozenset[HostPort] = frozenset()) -> bytes:
    """What a gate that is open for `public` hosts alone answers to a CONNECT."""

    async def resolve(host: str, port: int) -> list[str]:
        return [INSIDE[host]] if host in INSIDE else ["10.0.0.1", PUBLIC] if host == "both.test" else [PUBLIC]

    gate = Gate(control_plane_url="http://127.0.0.1:9", limits=LIMITS, trusted_hosts=trusted, resolve_name=resolve)
    await gate.open(RUN, sockets, frozenset(), None, public=public)
    try:
        return await ask(sockets / EGRESS_SOCKET, connect(target))
    finally:
        await gate.stop()


@pytest.mark.parametrize(
    ("target", "port"), [("some.test:22", 22), ("SOME.test:443", 443), (f"{PUBLIC}:8443", 8443), ("both.test:443", 443)]
)
async def test_full_access_leads_to_every_public_host_by_the_address_that_was_checked(
    sockets: Path, reached: list[tuple[str, int]], target: str, port: int
) -> None:
    answer = await answer_of(sockets, PublicHosts(every=True), target)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert reached == [(PUBLIC, port)]


@pytest.mark.parametrize("host", [*INSIDE, *(f"[{text}]" if ":" in text else text for text in INSIDE.values())])
async def test_full_access_never_leads_inside(sockets: Path, reached: list[tuple[str, int]], host: str) -> None:
    answer = await answer_of(sockets, PublicHosts(every=True), f"{host}:80", trusted=frozenset({HostPort("private.test", 80)}))
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert reached == []


async def test_other_spellings_of_this_machine_are_looked_up_and_refused(sockets: Path, reached: list[tuple[str, int]]) -> None:
    gate = Gate(control_plane_url="http://127.0.0.1:9", limits=LIMITS)
    await gate.open(RUN, sockets, frozenset(), None, public=PublicHosts(every=True))
    for host in ("localhost", "127.1", "0x7f000001", "2130706433", "0"):
        assert (await ask(sockets / EGRESS_SOCKET, connect(f"{host}:80"))).split(b" ")[1] in {b"403", b"502"}
    await gate.stop()
    assert reached == []


async def test_domains_lead_to_themselves_and_nowhere_else(sockets: Path, reached: list[tuple[str, int]]) -> None:
    hosts = PublicHosts(domains=frozenset({"some.test", "*.wild.test", "metadata.test"}))
    for target in ("some.test:443", "a.wild.test:80"):
        assert (await answer_of(sockets, hosts, target)).startswith(b"HTTP/1.1 502 ")
    for target in ("other.test:443", "wild.test:443", "some.test:22", f"{PUBLIC}:443", "metadata.test:80"):
        assert (await answer_of(sockets, hosts, target)).startswith(b"HTTP/1.1 403 ")
    assert reached == [(PUBLIC, 443), (PUBLIC, 80)]
