"""What a sandbox environment lets through, and what it may hold."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from hedgerow.domain.default_domains import DEFAULT_DOMAINS
from hedgerow.domain.sandbox_environments import (
    LARGEST_VARIABLES_BYTES,
    LONGEST_VARIABLE_BYTES,
    NetworkAccess,
    SandboxEnvironment,
    is_domain,
    unsound_variable,
)
from hedgerow.domain.sandboxes import NO_PUBLIC_HOSTS, PublicHosts


def environment(**fields: Any) -> SandboxEnvironment:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    return SandboxEnvironment(id=UUID(int=1), project_id=1, name="x", created_at=now, updated_at=now, **fields)


def test_effective_domains_follow_the_access_level() -> None:
    custom = {"network_access_level": NetworkAccess.CUSTOM, "allowed_domains": ("b.test", "github.com")}
    assert environment(allowed_domains=("b.test",)).effective_domains == ()
    assert environment(network_access_level=NetworkAccess.TRUSTED).effective_domains == DEFAULT_DOMAINS
    assert environment(**custom).effective_domains == ("b.test", "github.com")
    with_defaults = environment(**custom, include_default_domains=True).effective_domains
    assert with_defaults[:2] == ("b.test", "github.com")
    assert set(with_defaults) == {"b.test", *DEFAULT_DOMAINS}
    assert len(set(with_defaults)) == len(with_defaults)


def test_the_default_domains_are_sound_and_hold_the_great_code_host() -> None:
    assert "github.com" in DEFAULT_DOMAINS
    assert len(set(DEFAULT_DOMAINS)) == len(DEFAULT_DOMAINS)
    assert all(is_domain(domain) and domain == domain.lower() for domain in DEFAULT_DOMAINS)


@pytest.mark.parametrize(
    ("host", "port", "held"),
    [
        ("example.test", 443, True),
        ("example.test", 80, True),
        ("example.test", 22, False),
        ("www.example.test", 443, False),
        ("a.wild.test", 443, True),
        ("a.b.wild.test", 443, True),
        ("wild.test", 443, False),
        ("notwild.test", 443, False),
        ("wild.test.evil", 443, False),
        ("test", 443, False),
    ],
)
def test_a_wildcard_stands_for_everything_below_a_name_on_the_ports_of_the_web(host: str, port: int, held: bool) -> None:
    hosts = environment(network_access_level=NetworkAccess.CUSTOM, allowed_domains=("Example.test", "*.wild.test")).public_hosts
    assert hosts.hold(host, port) is held


def test_full_access_holds_every_name_and_none_holds_nothing() -> None:
    assert environment().public_hosts == PublicHosts(every=True)
    assert PublicHosts(every=True).hold("any.test", 22)
    assert not NO_PUBLIC_HOSTS.hold("any.test", 443)


@pytest.mark.parametrize("text", ["example.com", "*.example.com", "a", "A.B-c.d", "xn--mnchen-3ya.de", "1.2.3.4"])
def test_what_is_a_domain(text: str) -> None:
    assert is_domain(text)


@pytest.mark.parametrize(
    "text", ["", "*", "*.", "https://a.test", "a.test/", "a.test:443", "a..b", "*.*.a", "a.*.b", "mü.de", "a b", "-a.b", "a.test\n"]
)
def test_what_is_no_domain(text: str) -> None:
    assert not is_domain(text)


@pytest.mark.parametrize("name", ["1A", "A-B", "", "A B", "A=", "Ä", "A\n"])
def test_a_name_that_no_shell_knows_is_unsound(name: str) -> None:
    assert "no name of a variable" in (unsound_variable({"OK": "1", name: "very-secret"}) or "")


@pytest.mark.parametrize("value", ["very-secret\0", "very-secret\ud800", "very-secret" * (LONGEST_VARIABLE_BYTES // 11 + 1)])
def test_a_value_that_no_process_holds_is_unsound_and_not_repeated(value: str) -> None:
    problem = unsound_variable({"A": value})
    assert problem is not None
    assert "very-secret" not in problem


def test_many_variables_have_a_limit_together() -> None:
    most = LARGEST_VARIABLES_BYTES // LONGEST_VARIABLE_BYTES
    values = {f"V{number}": "x" * (LONGEST_VARIABLE_BYTES - 10) for number in range(most + 1)}
    assert "together" in (unsound_variable(values) or "")
    assert unsound_variable({"_a1": "x", "B": ""}) is None
