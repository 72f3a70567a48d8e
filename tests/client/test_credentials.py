import json
from pathlib import Path

import pytest

from hedgerow.client import ClientError, Credentials, read_credentials


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps({"url": "http://127.0.0.1:8010/", "project_id": 3, "api_key": "phx_file"}))
    return path


def test_the_file_of_the_data_directory_says_everything(file: Path) -> None:
    assert read_credentials({}, file) == Credentials("http://127.0.0.1:8010", "phx_file", "3")


def test_the_environment_stands_above_the_file(file: Path) -> None:
    environment = {"HEDGEROW_URL": "https://h.example", "HEDGEROW_API_KEY": "phx_env", "HEDGEROW_PROJECT": "7"}
    assert read_credentials(environment, file) == Credentials("https://h.example", "phx_env", "7")


def test_each_variable_stands_alone(file: Path) -> None:
    assert read_credentials({"HEDGEROW_PROJECT": "9"}, file) == Credentials("http://127.0.0.1:8010", "phx_file", "9")


def test_without_a_project_the_servers_current_one_is_meant(tmp_path: Path) -> None:
    environment = {"HEDGEROW_URL": "http://h", "HEDGEROW_API_KEY": "k"}
    assert read_credentials(environment, tmp_path / "none").project == "@current"


def test_nothing_at_all_is_a_sentence_that_names_the_file_and_the_variables(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match=r"none\.json.*HEDGEROW_URL and HEDGEROW_API_KEY"):
        read_credentials({}, tmp_path / "none.json")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(ClientError, match=r"c\.json are not JSON"):
        read_credentials({}, tmp_path / "c.json")


def test_the_key_is_not_shown_by_a_print() -> None:
    assert "phx_file" not in repr(Credentials("http://h", "phx_file"))
