"""What the settings become when the house is opened."""

from pathlib import Path

import pytest

from hedgerow.app import _rules
from hedgerow.domain.errors import UnavailableError
from hedgerow.settings import Settings, load_settings

_PEM = "-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0\n-----END RSA PRIVATE KEY-----\n"


def _with_key(folder: Path, key: str) -> Settings:
    return load_settings(data_dir=folder, secret_key="x" * 32, github_app_id="1", github_app_private_key=key)


def test_the_key_of_an_app_is_text_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "app.pem").write_text(_PEM)
    for given in (_PEM, _PEM.replace("\n", "\\n"), str(tmp_path / "app.pem")):
        app = _rules(_with_key(tmp_path, given), "http://127.0.0.1:8010", False).github.app
        assert app is not None
        assert (app.id, app.private_key) == ("1", _PEM)
        assert "c2VjcmV0" not in repr(app)


def test_a_key_that_cannot_be_read_is_told_by_its_setting(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="HEDGEROW_GITHUB_APP_PRIVATE_KEY"):
        _rules(_with_key(tmp_path, str(tmp_path / "missing.pem")), "http://127.0.0.1:8010", False)
