"""Files on their way to the server and from it, never held whole in memory.

Reading and writing block for the moment that one piece of 64 KiB takes; that is less than handing each piece to a thread would.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from typing import IO, BinaryIO

from hedgerow.client.errors import ClientError
from hedgerow.domain.artifacts import file_name

Source = str | os.PathLike[str] | bytes | BinaryIO
Target = str | os.PathLike[str] | BinaryIO

INLINE_BYTES = 256 * 1024
"""Files up to this size go in the body of one call; larger ones by a form."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to be sent, with the name it gets. `content` is read from its beginning."""

    name: str
    content_type: str
    size: int
    content: IO[bytes]

    def read(self) -> bytes:
        """All of it, for a file that is small."""
        self.content.seek(0)
        return self.content.read()


@contextmanager
def opened(source: Source, name: str | None, content_type: str | None) -> Iterator[Upload]:
    """The file that `source` is: a path, the content itself, or a file that is open for reading bytes (all of it is taken).

    What cannot be read twice is copied to a temporary file first. Raises ClientError for a file that is empty, OSError for one
    that cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        with path.open("rb") as content:
            yield _upload(content, name or path.name, content_type)
    elif isinstance(source, bytes):
        yield _upload(BytesIO(source), name, content_type)
    elif source.seekable():
        yield _upload(source, name or _name_of(source), content_type)
    else:
        import shutil
        import tempfile

        with tempfile.TemporaryFile() as content:
            shutil.copyfileobj(source, content)
            yield _upload(content, name or _name_of(source), content_type)


def _upload(content: IO[bytes], name: str | None, content_type: str | None) -> Upload:
    import mimetypes

    size = content.seek(0, os.SEEK_END)
    content.seek(0)
    name = name or "artifact"
    if size == 0:
        raise ClientError(f"{name} is empty, and an artifact holds at least one byte.", code="empty_file")
    return Upload(name, content_type or mimetypes.guess_type(name)[0] or "application/octet-stream", size, content)


def _name_of(file: BinaryIO) -> str | None:
    name = getattr(file, "name", None)
    return Path(name).name if isinstance(name, str) else None


class Landing:
    """Where a download is written. A path gets the whole file or stays as it was."""

    def __init__(self, target: Target, name: str) -> None:
        """`name` is what the file is called in a folder. Raises OSError."""
        self._path: Path | None = None
        self._start = 0
        if isinstance(target, (str, os.PathLike)):
            path = Path(target)
            self._path = path / file_name(name) if path.is_dir() else path
            self._temporary = self._path.with_name(f".{token_hex(8)}.part")
            self._file: IO[bytes] = self._temporary.open("xb")
        else:
            self._file = target
            self._start = target.tell() if target.seekable() else 0

    def write(self, piece: bytes) -> None:
        """Take the next piece."""
        self._file.write(piece)

    @property
    def path(self) -> Path | None:
        """Where the file lies once it is kept; None for a file that the caller opened."""
        return self._path

    def keep(self) -> None:
        """The file is whole."""
        if self._path is None:
            self._file.flush()
            return
        self._file.close()
        self._temporary.replace(self._path)

    def restart(self) -> bool:
        """Forget what came so far; False where it cannot be taken back."""
        if not self._file.seekable():
            return False
        self._file.seek(self._start)
        self._file.truncate()
        return True

    def discard(self) -> None:
        """The file is not whole: nothing of it stays at a path; an open file is cut back to where it was, if it can be."""
        if self._path is None:
            self.restart()
        else:
            self._file.close()
            self._temporary.unlink(missing_ok=True)
