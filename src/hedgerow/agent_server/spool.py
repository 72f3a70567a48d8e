"""The spool: every entry of the run on disk, and how far the control plane has it.

Files, all append-only: `entries` (one entry a line), `batches` (where each batch ends, written before it is sent, and what was
acknowledged), `id`. After a crash the very same batch is cut again under the same key, so that nothing arrives twice or never.
"""

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BATCH_ENTRIES = 500
BATCH_BYTES = 4 * 1024 * 1024
_PAGE_BYTES = 256 * 1024
_MARK_EVERY = 1000
_TAIL_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive entries to push: bytes `start` to `end` of the spool."""

    start: int
    end: int
    entries: list[bytes]
    key: str


class Spool:
    """The entries of one run, in order, numbered from 1."""

    def __init__(self, folder: Path) -> None:
        """Open the spool in `folder`, which is made where it is missing. A line that a crash left unfinished is cut off."""
        folder.mkdir(parents=True, exist_ok=True)
        self.id = _stable_id(folder / "id")
        self._entries = os.open(folder / "entries", os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._batches = os.open(folder / "batches", os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._marks: list[int] = []  # where the entries 1, 1001, 2001 … begin
        self.count = 0
        self.end = 0
        self._take_stock()
        self.acknowledged, self._border = self._read_borders()

    def close(self) -> None:
        """Close the files."""
        os.close(self._entries)
        os.close(self._batches)

    def append(self, entry: bytes) -> int:
        """Write one entry (a line without its end) and return its number. OSError leaves the spool as it was."""
        line = entry + b"\n"
        append_whole(self._entries, line, self.end)
        self._count_line(self.end)
        self.end += len(line)
        return self.count

    def read(self, offset: int, *, entries: int = BATCH_ENTRIES, size_bytes: int = BATCH_BYTES) -> tuple[list[bytes], int]:
        """Up to so many entries from `offset` on, at least one where there is one, and the offset after them."""
        found: list[bytes] = []
        position = offset
        for line in self._lines(offset):
            if found and (len(found) >= entries or position + len(line) - offset > size_bytes):
                break
            found.append(line[:-1])
            position += len(line)
        return found, position

    def offset_after(self, number: int) -> int:
        """Where the entry after `number` begins; the end where there is none yet."""
        if number >= self.count:
            return self.end
        mark = number // _MARK_EVERY
        offset = self._marks[mark]
        for index, line in enumerate(self._lines(offset)):
            if index >= number - mark * _MARK_EVERY:
                break
            offset += len(line)
        return offset

    def next_batch(self, entries: int = BATCH_ENTRIES) -> Batch | None:
        """What to push next; None where everything is acknowledged. Its border is on disk before this returns."""
        if self.acknowledged >= self.end:
            return None
        if self._border is not None:
            found = self._between(self.acknowledged, self._border)
            return Batch(self.acknowledged, self._border, found, self._key(self._border))
        found, end = self.read(self.acknowledged, entries=min(entries, BATCH_ENTRIES))
        self._write_border(f"send {self.acknowledged} {end}\n")
        self._border = end
        return Batch(self.acknowledged, end, found, self._key(end))

    def acknowledge(self, batch: Batch) -> None:
        """The control plane has this batch."""
        self._write_border(f"done {batch.end}\n")
        self.acknowledged, self._border = batch.end, None

    def divide(self, batch: Batch) -> None:
        """Take back a batch that was refused, so that a smaller one can be cut."""
        self._write_border(f"back {batch.start}\n")
        self._border = None

    def _key(self, end: int) -> str:
        return f"{self.id}-{self.acknowledged}-{end}"

    def _write_border(self, line: str) -> None:
        append_whole(self._batches, line.encode(), os.fstat(self._batches).st_size)

    def _between(self, start: int, end: int) -> list[bytes]:
        found: list[bytes] = []
        position = start
        for line in self._lines(start):
            if position >= end:
                break
            found.append(line[:-1])
            position += len(line)
        return found

    def _lines(self, offset: int) -> Iterator[bytes]:
        """Whole lines from `offset` on, read page by page."""
        pieces: list[bytes] = []
        while offset < self.end and (page := os.pread(self._entries, _PAGE_BYTES, offset)):
            offset += len(page)
            *whole, rest = page.split(b"\n")
            for line in whole:
                yield b"".join([*pieces, line, b"\n"])
                pieces = []
            if rest:
                pieces.append(rest)

    def _count_line(self, offset: int) -> None:
        if self.count % _MARK_EVERY == 0:
            self._marks.append(offset)
        self.count += 1

    def _take_stock(self) -> None:
        size = os.fstat(self._entries).st_size
        self.end = size
        position = 0
        for line in self._lines(0):
            self._count_line(position)
            position += len(line)
        self.end = position
        if position < size:
            os.ftruncate(self._entries, position)

    def _read_borders(self) -> tuple[int, int | None]:
        """What was acknowledged, and where the batch ends that was being sent. Only the last lines matter."""
        size = os.fstat(self._batches).st_size
        *lines, torn = os.pread(self._batches, _TAIL_BYTES, max(0, size - _TAIL_BYTES)).split(b"\n")
        if torn:
            os.ftruncate(self._batches, size - len(torn))
        words = lines[-1].split() if lines else []
        match words:
            case [b"send", start, end] if int(end) <= self.end:
                return int(start), int(end)
            case [b"send", position, _] | [b"done" | b"back", position]:
                return min(int(position), self.end), None
        return 0, None


def append_whole(descriptor: int, line: bytes, size: int) -> None:
    """Append all of `line` to a file of `size` bytes, or nothing: half a line would spoil the next."""
    written = 0
    try:
        while written < len(line):
            written += os.write(descriptor, line[written:])
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _stable_id(path: Path) -> str:
    if path.exists() and (known := path.read_text().strip()):
        return known
    fresh = secrets.token_hex(8)
    path.write_text(fresh)
    return fresh
