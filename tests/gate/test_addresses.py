"""Which spellings are hosts."""

import pytest

from hedgerow.domain.sandboxes import HostPort
from hedgerow.gate.addresses import canonical, parse_host_port


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("api.example.com:443", "api.example.com", 443),
        ("API.Example.com:443", "api.example.com", 443),
        ("127.0.0.1:4000", "127.0.0.1", 4000),
        ("[::1]:80", "::1", 80),
        ("[0:0::1]:80", "::1", 80),
        ("localhost:65535", "localhost", 65535),
    ],
)
def test_hosts_have_one_spelling(text: str, host: str, port: int) -> None:
    assert parse_host_port(text) == HostPort(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        "host:",
        ":1",
        "host:0",
        "host:65536",
        "host:-1",
        "a b:1",
        "a@b:1",
        "host.:1",
        ".host:1",
        "::1:80",
        "[::1%eth0]:80",
        "ho\u0455t:1",
    ],
)
def test_what_is_no_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not|has no"):
        parse_host_port(text)


def test_a_default_port_fills_in() -> None:
    assert parse_host_port("example.com", default_port=80) == HostPort("example.com", 80)


def test_lists_are_brought_to_the_same_spelling() -> None:
    assert canonical(HostPort("0::1", 1)) == HostPort("::1", 1)
