import re
from pathlib import Path

import pytest

from hedgerow.domain.tasks import normal_repository
from hedgerow.repositories.local import repository_name


@pytest.mark.parametrize("folder", ["app", "My App", "app.git", "ünïcode", "...", "x" * 200, "a/b c"])
def test_a_local_repository_has_a_name_that_a_task_can_carry(folder: str, tmp_path: Path) -> None:
    name = repository_name(tmp_path / folder)
    assert re.fullmatch(r"local/[a-z0-9._-]+-[0-9a-f]{8}", name)
    assert normal_repository(name) == name


def test_folders_of_one_name_have_different_names_and_links_the_same(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert repository_name(tmp_path / "one" / "app") != repository_name(tmp_path / "two" / "app")
    assert repository_name(tmp_path / "link" / "app") == repository_name(tmp_path / "one" / "app")
