"""Objects as files below a folder: `<folder>/<key>`, each as it is, its content type in a small file beside it.

A new object is written to `.uploads`, brought to the disk, and put in its place by one rename. Whoever writes holds a lock on the
file, so that what a killed process has left is told apart from what is still on its way.
"""

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from hedgerow.domain.errors import InvalidError, NotFoundError, UnavailableError
from hedgerow.storage.base import ObjectInfo, StoredObject, UploadForm
from hedgerow.storage.keys import check_key
from hedgerow.storage.signed_forms import Permit, Signer

_PIECE_BYTES = 256 * 1024
_LONGEST_NAME_BYTES = 180  # of a file, which most systems let have 255; the rest is for what is put before it
_MOST_TRIES = 100
_UPLOADS = ".uploads"
_TYPE = ".type-"
Result = TypeVar("Result")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


async def open_local(url: str, secrets: Sequence[bytes]) -> "LocalStore":
    """The store of a `file:///…` address. Raises InvalidError for one without a path, UnavailableError where it cannot be written to."""
    parts = urlsplit(url)
    folder = Path(unquote(parts.path))
    if parts.netloc not in {"", "localhost"} or not folder.is_absolute() or folder == Path("/"):
        raise InvalidError("The address of a local object store is file:/// and the absolute path of a folder.")
    store = LocalStore(folder, secrets)
    await asyncio.to_thread(store.prepare)
    return store


class LocalStore:
    """An object store in a `folder` of this machine, or of a network file system that all machines share."""

    def __init__(self, folder: Path, secrets: Sequence[bytes]) -> None:
        self.signer = Signer(secrets)
        self.folder = folder
        self._uploads = folder / _UPLOADS

    def prepare(self) -> None:
        """Make the folder, and sweep out what uploads of killed processes have left. Raises UnavailableError."""
        try:
            self._uploads.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path in self._uploads.iterdir():
                _remove_unless_held(path)
        except OSError as error:
            message = f"The folder {self.folder} of the object store cannot be used: {error.strerror or error}."
            raise UnavailableError(message) from error

    async def put(self, key: str, pieces: AsyncIterable[bytes], *, content_type: str = "") -> ObjectInfo:
        """Store an object, or replace it, once all pieces have come; when this is cut short nothing is stored."""
        path = self._path(key)
        with _told():
            file, temporary = self._begin()  # in no thread: a caller that leaves meanwhile would leave the file behind
            try:
                size = await _write(file, pieces)
                await _in_thread(_finish, file, temporary, path, content_type)
            finally:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    file.close()
        return ObjectInfo(key=key, size_bytes=size, content_type=content_type)

    async def head(self, key: str) -> ObjectInfo | None:
        """What is known of an object; None where there is none."""
        with _told():
            return await _in_thread(_head, key, self._path(key))

    async def read(self, key: str) -> StoredObject:
        """The object, in pieces. Raises NotFoundError, before the first piece, where there is none."""
        with _told():
            info, file = await _in_thread(_open, key, self._path(key))
        return StoredObject(info, _pieces(file))

    async def delete(self, key: str) -> None:
        """Remove an object; safe to repeat."""
        with _told():
            await _in_thread(self._delete, self._path(key))

    async def tag(self, key: str, tags: Mapping[str, str]) -> None:
        """Files have no tags."""

    async def upload_form(self, key: str, *, content_type: str, largest_bytes: int, expires_at: datetime, public_url: str) -> UploadForm:
        """A form that hedgerow itself serves."""
        check_key(key)
        return self.signer.form(Permit(key, content_type, largest_bytes), expires_at, public_url)

    async def read_url(self, key: str, *, expires_at: datetime, public_url: str) -> str:
        """An address that hedgerow itself serves."""
        check_key(key)
        return self.signer.url(key, expires_at, public_url)

    async def close(self) -> None:
        """Nothing stays open between two calls."""

    def _path(self, key: str) -> Path:
        check_key(key)
        return self.folder.joinpath(*map(_file_name, key.split("/")))

    def _begin(self) -> tuple[BinaryIO, Path]:
        """A new file for an upload, locked for as long as it is open."""
        self._uploads.mkdir(parents=True, exist_ok=True, mode=0o700)
        for _ in range(100):
            path = self._uploads / uuid4().hex
            file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb", buffering=0)
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                return file, path
            file.close()  # a process that was just starting took it for litter
        raise UnavailableError("No file for an upload could be made.")

    def _delete(self, path: Path) -> None:
        for name in (path, _type_file(path)):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                name.unlink()
        folder = path.parent
        while folder != self.folder:
            try:
                folder.rmdir()
            except OSError:
                return  # something else is in it
            folder = folder.parent


async def _in_thread(work: Callable[..., Result], *arguments: Any) -> Result:
    """Do `work` in a thread. Whoever is cancelled meanwhile waits for its end: what it works on may be closed afterwards."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise


@contextmanager
def _told() -> Iterator[None]:
    """Says for people what the file system says to programs."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise UnavailableError("The disk of the object store is full.") from error
        raise UnavailableError(f"The object store cannot be used: {error.strerror or error}.") from error


def _file_name(segment: str) -> str:
    """The name of the file or folder of one part of a key. No two parts have the same, and none begins with a dot."""
    name = segment.replace("%", "%25")
    if name.startswith("."):
        name = "%2E" + name[1:]
    encoded = name.encode()
    if len(encoded) <= _LONGEST_NAME_BYTES:
        return name
    return f"{encoded[:80].decode(errors='ignore')}%~{hashlib.sha256(segment.encode()).hexdigest()}"


def _type_file(path: Path) -> Path:
    return path.with_name(_TYPE + path.name)


async def _write(file: BinaryIO, pieces: AsyncIterable[bytes]) -> int:
    """Write all pieces, a quarter of a megabyte at a time; how many bytes there were."""
    size, waiting = 0, bytearray()
    async for piece in pieces:
        size += len(piece)
        waiting += piece
        if len(waiting) >= _PIECE_BYTES:
            await _in_thread(_write_all, file, bytes(waiting))
            waiting.clear()
    await _in_thread(_write_all, file, bytes(waiting))
    return size


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _finish(file: BinaryIO, temporary: Path, path: Path, content_type: str) -> None:
    """Put a whole upload into its place, so that a loss of power finds either all of it or nothing."""
    os.fsync(file.fileno())
    for tries in range(1, _MOST_TRIES + 1):
        try:
            _make_folders(path.parent)
            _note_type(path, temporary, content_type)
            temporary.replace(path)
            break
        except FileNotFoundError:  # whoever removes the last object of a folder takes the folder away as well
            if tries == _MOST_TRIES:
                raise
    with contextlib.suppress(FileNotFoundError):  # removed again already
        _sync(path.parent)


def _make_folders(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        _sync(folder.parent)


def _note_type(path: Path, temporary: Path, content_type: str) -> None:
    """The type first: an object that is there has its own."""
    beside = _type_file(path)
    if not content_type:
        beside.unlink(missing_ok=True)
        return
    partial = temporary.with_name(f"{temporary.name}.type")
    try:
        with partial.open("xb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(content_type.encode("utf-8", "surrogatepass"))
            file.flush()
            os.fsync(file.fileno())
            partial.replace(beside)
    finally:
        partial.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _head(key: str, path: Path) -> ObjectInfo | None:
    try:
        info, file = _open(key, path)
    except NotFoundError:
        return None
    file.close()
    return info


def _open(key: str, path: Path) -> tuple[ObjectInfo, BinaryIO]:
    try:
        file = path.open("rb", buffering=0)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise NotFoundError("There is no such object.") from error
    size = os.fstat(file.fileno()).st_size
    return ObjectInfo(key=key, size_bytes=size, content_type=_type_of(path)), file


def _type_of(path: Path) -> str:
    try:
        return _type_file(path).read_bytes().decode("utf-8", "surrogatepass")
    except FileNotFoundError:
        return ""


async def _pieces(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    with file, _told():
        while piece := await _in_thread(file.read, _PIECE_BYTES):
            yield piece


def _remove_unless_held(path: Path) -> None:
    """Remove what a killed process has left; the lock of a living one keeps its file."""
    with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
