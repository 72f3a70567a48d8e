"""Which spellings are hosts, and which addresses belong to everybody."""

import ipaddress

import pytest

from hedgerow.domain.sandboxes import HostPort
from hedgerow.gate.addresses import canonical, is_public, parse_host_port


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


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255",
        "240.0.0.1", "::1", "::", "fe80::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1",
        "2002:7f00:1::1", "2001:db8::1", "::127.0.0.1",
    ],
)  # fmt: skip
def test_other_addresses_are_not(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
