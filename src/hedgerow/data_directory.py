"""Where hedgerow keeps its files on this machine. Apart from the settings, so that a user command need not load them."""

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "HEDGEROW_DATA_DIR"


def default_data_dir() -> Path:
    """Where the files lie unless told otherwise: /var/lib/hedgerow for root, else the platform's place for user data."""
    if os.geteuid() == 0:
        return Path("/var/lib/hedgerow")
    from platformdirs import user_data_path

    return user_data_path("hedgerow")


def data_directory(environment: Mapping[str, str]) -> Path:
    """The data directory that HEDGEROW_DATA_DIR names, else the default one."""
    named = environment.get(VARIABLE)
    return Path(os.path.abspath(Path(named).expanduser())) if named else default_data_dir()  # noqa: PTH100 - symbolic links are kept
