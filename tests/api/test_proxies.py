"""Absolute addresses where proxies stand in front of the API."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network

import httpx
import pytest
from starlette.types import ASGIApp

from hedgerow.api import create_api
from hedgerow.operations.backends import Backends
from tests.api.conftest import PUBLIC_URL, Served

PROXY, CLIENT = "10.1.2.3", "192.0.2.7"
Lines = Mapping[str, str] | list[tuple[str, str]]


_made: dict[tuple[str, ...], ASGIApp] = {}


def _api(backends: Backends, trusted: tuple[str, ...]) -> ASGIApp:
    """The API for those proxies, on the backends that all tests of this room share: to make one takes longer than to call it."""
    if trusted not in _made:
        rules = replace(backends.rules, trusted_proxies=tuple(map(ip_network, trusted)))
        _made[trusted] = create_api(replace(backends, rules=rules))
    return _made[trusted]


async def address(served: Served, headers: Lines, *, peer: str | None = PROXY, trusted: tuple[str, ...] = ("10.0.0.0/8", "::1")) -> str:
    """The address that a page of tasks links to, without its path."""
    app = _api(served.backends, trusted)

    async def with_peer(scope: dict[str, object], receive: object, send: object) -> None:
        await app(scope | {"client": None if peer is None else (peer, 1)}, receive, send)  # type: ignore[arg-type]

    transport = httpx.ASGITransport(with_peer)  # type: ignore[arg-type]
    key = {"Authorization": served.client.headers["authorization"]}
    async with httpx.AsyncClient(transport=transport, base_url="http://inner:8010", headers=key) as client:
        await client.post(served.tasks, json={"title": "x"})
        await client.post(served.tasks, json={"title": "x"})
        following = str((await client.get(served.tasks, params={"limit": 1}, headers=headers)).json()["next"])
    return following.partition(served.tasks)[0]


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        ({}, PUBLIC_URL),
        ({"X-Forwarded-Proto": "https"}, "https://inner:8010"),
        ({"X-Forwarded-Proto": "HTTPS", "X-Forwarded-Host": "tasks.test"}, "https://tasks.test"),
        ({"X-Forwarded-Host": "tasks.test"}, "http://tasks.test"),
        ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "tasks.test:443"}, "https://tasks.test"),
        ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "tasks.test", "X-Forwarded-Port": "8443"}, "https://tasks.test:8443"),
        (
            {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "tasks.test", "X-Forwarded-Prefix": "/hedge/row/"},
            "https://tasks.test/hedge/row",
        ),
        ({"X-Forwarded-Host": "[2001:db8::1]:80"}, "http://[2001:db8::1]"),
        ({"X-Forwarded-Proto": "http, https", "X-Forwarded-Host": "forged.test, tasks.test"}, "https://tasks.test"),
        ([("X-Forwarded-Host", "forged.test"), ("X-Forwarded-Host", "tasks.test")], "http://tasks.test"),
        ({"Forwarded": 'for=192.0.2.7;proto=https;host="tasks.test:8443"'}, "https://tasks.test:8443"),
        ({"Forwarded": "host=forged.test, for=1.2.3.4; Host=tasks.test"}, "http://tasks.test"),
        ({"Forwarded": "host=forged.test", "X-Forwarded-Host": "tasks.test"}, "http://tasks.test"),
    ],
)
async def test_a_trusted_proxy_says_how_clients_reach_us(served: Served, headers: Lines, url: str) -> None:
    assert await address(served, headers) == url


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Proto": "javascript", "X-Forwarded-Host": "tasks.test"},
        {"X-Forwarded-Host": "tasks.test/evil?"},
        {"X-Forwarded-Host": "user@tasks.test"},
        {"X-Forwarded-Host": "tasks.test", "X-Forwarded-Port": "70000"},
        {"X-Forwarded-Host": "tasks.test", "X-Forwarded-Port": "0"},
        {"X-Forwarded-Host": "tasks.test:99999"},
        {"X-Forwarded-Host": "tasks.test", "X-Forwarded-Prefix": "//evil.test"},
        {"X-Forwarded-Host": "tasks.test", "X-Forwarded-Prefix": "/a?b"},
        {"Forwarded": "host"},
        {"Forwarded": 'host="tasks.test'},
        {"Forwarded": "host=tasks.test;proto=ftp"},
    ],
)
async def test_what_is_malformed_leaves_the_configured_address(served: Served, headers: Lines) -> None:
    assert await address(served, headers) == PUBLIC_URL


@pytest.mark.parametrize("peer", [CLIENT, "::2", "testclient", None, ""])
async def test_a_peer_that_is_not_trusted_is_not_heard(served: Served, peer: str | None) -> None:
    assert await address(served, {"X-Forwarded-Host": "forged.test", "Forwarded": "host=forged.test"}, peer=peer) == PUBLIC_URL


@pytest.mark.parametrize("peer", [PROXY, f"::ffff:{PROXY}", "::1"])
async def test_a_trusted_peer_is_known_in_every_spelling(served: Served, peer: str) -> None:
    assert await address(served, {"X-Forwarded-Host": "tasks.test"}, peer=peer) == "http://tasks.test"


async def test_nobody_is_trusted_unless_the_operator_says_so(served: Served) -> None:
    assert await address(served, {"X-Forwarded-Host": "forged.test"}, trusted=()) == PUBLIC_URL


async def test_the_log_url_of_a_run_follows_too(served: Served) -> None:
    url, _ = await served.a_run()
    rules = replace(served.backends.rules, trusted_proxies=(ip_network("127.0.0.1"),))
    transport = httpx.ASGITransport(create_api(replace(served.backends, rules=rules)))
    headers = {**served.client.headers, "X-Forwarded-Host": "tasks.test", "X-Forwarded-Proto": "https"}
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL, headers=headers) as client:
        assert (await client.get(url)).json()["log_url"].startswith("https://tasks.test/api/run_logs/")
