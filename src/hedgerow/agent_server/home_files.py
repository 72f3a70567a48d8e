"""Files that an agent finds in its home when it starts: its configuration, or a login that it cannot get otherwise."""

import os
from collections.abc import Mapping
from pathlib import Path


def write_home_files(home: Path, files: Mapping[str, str]) -> None:
    """Write each text below `home`, for the agent's account alone. What an earlier start left is replaced. Raises OSError."""
    for inner, text in files.items():
        path = home / inner
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
