"""The name under which this program can be called again, so that every command it prints can be typed as printed."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from hedgerow.data_directory import VARIABLE, data_directory, default_data_dir


def command_line(*arguments: str) -> str:
    """A call of this program with `arguments`, quoted for a shell, runnable from the present folder, in a new shell too.

    Therefore it names the data directory where that is not the default one: the credentials lie there.
    """
    folder = data_directory(os.environ)
    variables = [] if folder == default_data_dir() else [f"{VARIABLE}={shlex.quote(str(folder))}"]
    return " ".join([*variables, _program(), *(shlex.quote(argument) for argument in arguments)])


def _program() -> str:
    called = Path(sys.argv[0]) if sys.argv and sys.argv[0] else None
    if called is None or called.name in {"__main__.py", "-m", "-c"} or not _runnable(called):
        return f"{shlex.quote(_shortest(Path(sys.executable)))} -m hedgerow"
    on_path = shutil.which(called.name)
    if on_path is not None and Path(on_path).resolve() == called.resolve():
        return shlex.quote(called.name)
    return shlex.quote(_shortest(called))


def _runnable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _shortest(path: Path) -> str:
    """Relative to the present folder where that is shorter; symbolic links are kept, since a virtual environment lives by them."""
    absolute = os.path.abspath(path)  # noqa: PTH100 - Path.resolve would follow the links
    try:
        relative = os.path.relpath(absolute)
    except ValueError:
        return absolute
    if not relative.startswith((".", "/")) and os.sep not in relative:
        relative = f"./{relative}"
    return relative if len(relative) < len(absolute) else absolute
