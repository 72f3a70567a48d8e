"""What a house keeps as files of its own in the data directory, readable for its account alone."""

import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

from filelock import FileLock

from hedgerow.domain.errors import UnavailableError

CREDENTIALS = "credentials.json"


def make_data_dir(data_dir: Path) -> None:
    """Make the data directory where it is not there. Under root other accounts may pass through it: sandboxes run as one of them.

    Raises UnavailableError where it cannot be made or written to.
    """
    try:
        if not data_dir.exists():
            data_dir.mkdir(parents=True)
            data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
    except OSError as problem:
        raise UnavailableError(f"The data directory {data_dir} cannot be made: {problem.strerror or problem}.") from problem
    if not data_dir.is_dir():
        raise UnavailableError(f"The data directory {data_dir} is not a directory.")
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise UnavailableError(f"The data directory {data_dir} belongs to another account: name one of your own with HEDGEROW_DATA_DIR.")


def secret_key(data_dir: Path) -> str:
    """The key that signs and encrypts on this machine, made at the first call. Raises UnavailableError where its file is not readable."""
    return _kept(data_dir / "secret_key", lambda: secrets.token_urlsafe(32))


def node_id(data_dir: Path) -> UUID:
    """The id of this machine, made at the first call."""
    path = data_dir / "node_id"
    text = _kept(path, lambda: str(uuid4()))
    try:
        return UUID(text)
    except ValueError:
        raise UnavailableError(f"The file {path} holds no id of a node: remove it to have a new one made.") from None


def write_credentials(data_dir: Path, *, url: str, project_id: int, api_key: str) -> Path:
    """Write what the user commands read by default."""
    path = data_dir / CREDENTIALS
    _write(path, json.dumps({"url": url, "project_id": project_id, "api_key": api_key}, indent=2) + "\n")
    return path


def update_credentials(data_dir: Path, *, url: str) -> None:
    """Note where the API listens now, if there are credentials."""
    path = data_dir / CREDENTIALS
    try:
        known = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return
    if isinstance(known, dict) and known.get("url") != url:
        _write(path, json.dumps({**known, "url": url}, indent=2) + "\n")


@contextmanager
def held_by_us(data_dir: Path) -> Iterator[None]:
    """Hold the data directory as the one `up` on it. Raises UnavailableError that names the process which holds it already.

    The lock ends with the process, however it ends.
    """
    with (data_dir / "up.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            who = f"process {holder}" if holder else "another process"
            raise UnavailableError(
                f"hedgerow is up on {data_dir} already, as {who}: stop that one first, or name another folder with HEDGEROW_DATA_DIR."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
        file.truncate(0)


def _kept(path: Path, make: Callable[[], str]) -> str:
    """The text of a file, made by whoever comes first."""
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=30):
            if not path.exists():
                _write(path, make())
            text = path.read_text().strip()
    except OSError as problem:
        raise UnavailableError(f"The file {path} cannot be used: {problem.strerror or problem}.") from problem
    if not text:
        raise UnavailableError(f"The file {path} is empty: put its content back from a backup.")
    return text


def _write(path: Path, text: str) -> None:
    """Write a whole file, or leave the old one: 0600 from the first moment on."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
