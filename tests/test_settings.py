"""Settings come from HEDGEROW_* variables, and a bad one is named in one sentence."""

from pathlib import Path

import pytest

from hedgerow.domain.errors import InvalidError
from hedgerow.domain.sandboxes import HostPort
from hedgerow.settings import Settings, describe, load_settings


@pytest.fixture(autouse=True)
def _no_settings_of_the_operator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"HEDGEROW_{name.upper()}", raising=False)


def test_every_setting_has_a_sentence() -> None:
    assert [field.name for field in describe(Settings()) if not field.sentence.endswith((".", "..."))] == []


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEDGEROW_EGRESS_ALLOW", "models.test:443, [::1]:4000")
    monkeypatch.setenv("HEDGEROW_SANDBOX_URL_ALLOWLIST", "http://127.0.0.1:*")
    settings = load_settings()
    assert settings.egress_allow == (HostPort("models.test", 443), HostPort("::1", 4000))
    assert settings.sandbox_url_allowlist == ("http://127.0.0.1:*",)


def test_what_is_given_stands_above_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEDGEROW_PORT", "9000")
    assert load_settings(port=9001, host=None).local_url == "http://127.0.0.1:9001"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", "abc", "HEDGEROW_PORT is not right: input should be a valid integer"),
        ("PORT", "70000", "HEDGEROW_PORT is not right: input should be less than or equal to 65535"),
        ("EGRESS_ALLOW", "models.test", "HEDGEROW_EGRESS_ALLOW is not right: models.test is no host:port."),
        ("SANDBOX", "docker", "HEDGEROW_SANDBOX is not right: input should be 'auto', 'process' or 'bubblewrap'."),
        ("PUBLIC_URL", "example.org", "HEDGEROW_PUBLIC_URL is not right: must begin with http:// or https://."),
        ("DATABASE_URL", "mysql://x", "HEDGEROW_DATABASE_URL is not right: must begin with postgresql://."),
        ("REASONING_EFFORTS", "{", "HEDGEROW_REASONING_EFFORTS is not right"),
    ],
)
def test_a_bad_value_is_named_in_one_sentence(name: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"HEDGEROW_{name}", value)
    with pytest.raises(InvalidError) as problem:
        load_settings()
    assert problem.value.message.startswith(sentence)
    assert "\n" not in problem.value.message


def test_a_database_server_needs_a_shared_store_and_a_shared_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEDGEROW_DATABASE_URL", "postgresql://somebody:hunter2@db/hedgerow")
    with pytest.raises(InvalidError, match="HEDGEROW_STORAGE_URL must be set too"):
        load_settings()
    with pytest.raises(InvalidError, match="HEDGEROW_SECRET_KEY must be set too"):
        load_settings(storage_url="file:///objects")


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEDGEROW_SECRET_KEY", "hunter2")
    monkeypatch.setenv("HEDGEROW_SECRET_KEYS_OLD", "hunter2,hunter2")
    monkeypatch.setenv("HEDGEROW_STORAGE_URL", "file:///objects")
    monkeypatch.setenv("HEDGEROW_DATABASE_URL", "postgresql://somebody:hunter2@db/hedgerow")
    settings = load_settings()
    assert "hunter2" not in repr(settings) + repr(list(describe(settings)))


@pytest.mark.parametrize(
    ("api", "given", "place"),
    [
        ("https://api.github.com", None, "https://github.com"),
        ("https://api.Acme.ghe.com/", None, "https://acme.ghe.com"),
        ("https://git.acme.test/api/v3", None, "https://git.acme.test"),
        ("http://127.0.0.1:1234", "https://Git.test/inner/", "https://git.test/inner"),
    ],
)
def test_github_is_where_its_api_says_unless_the_operator_does(api: str, given: str | None, place: str) -> None:
    assert load_settings(github_api_url=api, github_url=given).github_place == place


def test_an_app_has_an_id_and_a_key() -> None:
    with pytest.raises(InvalidError, match="HEDGEROW_GITHUB_APP_ID and HEDGEROW_GITHUB_APP_PRIVATE_KEY belong together"):
        load_settings(github_app_id="1")
