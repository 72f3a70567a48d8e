"""The files of a house in its data directory."""

import json
import os
from pathlib import Path

import pytest

from hedgerow.domain.errors import UnavailableError
from hedgerow.local_files import held_by_us, make_data_dir, node_id, secret_key, update_credentials, write_credentials


def test_the_secret_key_is_made_once_and_for_the_account_alone(tmp_path: Path) -> None:
    first = secret_key(tmp_path)
    assert len(first) >= 43
    assert secret_key(tmp_path) == first
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600


def test_an_empty_secret_key_is_refused_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("")
    with pytest.raises(UnavailableError, match="is empty: put its content back"):
        secret_key(tmp_path)


def test_a_machine_keeps_its_id(tmp_path: Path) -> None:
    assert node_id(tmp_path) == node_id(tmp_path)
    (tmp_path / "node_id").write_text("nonsense")
    with pytest.raises(UnavailableError, match="holds no id of a node"):
        node_id(tmp_path)


def test_credentials_keep_their_key_when_the_address_changes(tmp_path: Path) -> None:
    update_credentials(tmp_path, url="http://127.0.0.1:1")
    assert not (tmp_path / "credentials.json").exists()
    path = write_credentials(tmp_path, url="http://127.0.0.1:1", project_id=1, api_key="phx_x")
    update_credentials(tmp_path, url="http://127.0.0.1:2")
    assert json.loads(path.read_text()) == {"url": "http://127.0.0.1:2", "project_id": 1, "api_key": "phx_x"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_held_names_its_holder_and_is_free_afterwards(tmp_path: Path) -> None:
    with held_by_us(tmp_path), pytest.raises(UnavailableError, match=f"as process {os.getpid()}:"), held_by_us(tmp_path):
        pass
    with held_by_us(tmp_path):
        pass


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="is not a directory"):
        make_data_dir(tmp_path / "file")
    with pytest.raises(UnavailableError, match="cannot be made"):
        make_data_dir(tmp_path / "file" / "inner")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_directory_of_another_account_is_refused() -> None:
    with pytest.raises(UnavailableError, match="belongs to another account"):
        make_data_dir(Path("/usr"))
