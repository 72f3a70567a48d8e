import asyncio
import socket
from typing import Any

import pytest

from hedgerow.domain.errors import RefusedError, UnavailableError
from hedgerow.operations.sandbox_urls import destination, is_allowed

ALLOWED = ("http://127.0.0.1:*", "https://*.modal.run", "http://sandbox.test:8080", "http://[::1]:9")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1234",
        "http://127.0.0.1",
        "http://127.0.0.1:80/path/",
        "https://a.b.modal.run/x",
        "https://A.Modal.Run:443",
        "http://sandbox.test:8080",
        "http://[::1]:9",
    ],
)
def test_what_the_operator_lists_is_allowed(url: str) -> None:
    assert is_allowed(url, ALLOWED)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:1234",
        "http://127.0.0.1@evil.test",
        "http://127.0.0.1:80@evil.test/",
        "http://evil.test#@127.0.0.1",
        "http://evil.test\\@127.0.0.1",
        "http://127.0.0.1.evil.test",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:x",
        "https://modal.run",
        "https://evilmodal.run",
        "https://a.modal.run:8443",
        "http://sandbox.test",
        "http://127.0.0.1/?a",
        "http://127.0.0.1/ x",
        "http://[::1",
        "http:///x",
        "file:///etc/passwd",
        "127.0.0.1",
        "",
    ],
)
def test_everything_else_is_not(url: str) -> None:
    assert not is_allowed(url, ALLOWED)
    assert not is_allowed(url, ())


async def test_a_request_goes_to_the_very_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "8.8.8.8")

    where = await destination("https://a.modal.run/base", ALLOWED)

    assert (where.url, where.host) == ("https://8.8.8.8:443/base", "a.modal.run")
    assert (await destination("http://127.0.0.1:5/x", ALLOWED)).url == "http://127.0.0.1:5/x"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1", "0.0.0.0", "64:ff9b::a00:1", "2002:7f00:1::"],
)
async def test_a_name_of_others_never_leads_into_a_private_network(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    resolve_to(monkeypatch, address)

    with pytest.raises(RefusedError):
        await destination("https://a.modal.run", ALLOWED)


async def test_a_name_that_the_operator_spelled_out_may_be_private_but_never_link_local(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "10.0.0.1")
    assert (await destination("http://sandbox.test:8080", ALLOWED)).url == "http://10.0.0.1:8080"

    resolve_to(monkeypatch, "169.254.169.254")
    with pytest.raises(RefusedError):
        await destination("http://sandbox.test:8080", ALLOWED)


async def test_a_name_that_nobody_knows_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, None)

    with pytest.raises(UnavailableError):
        await destination("https://a.modal.run", ALLOWED)


async def test_what_can_be_no_name_is_unavailable() -> None:
    with pytest.raises(UnavailableError):
        await destination(f"https://{'a' * 70}.modal.run", ALLOWED)


def resolve_to(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    """Let every name stand for one address. The tests look nothing up in the network."""

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        if address is None:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
