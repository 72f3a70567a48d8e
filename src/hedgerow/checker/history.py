"""Histories: lists of records, and their form as lines of JSON, so that a process that may be killed can write one."""

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from hedgerow.checker.records import (
    Answered,
    ArtifactRead,
    Closed,
    Frame,
    Heard,
    InboxRead,
    Leftover,
    LogRead,
    Opened,
    PageRead,
    Record,
    Scope,
    Sent,
    Settled,
    StateRead,
)

_Any = (
    Sent
    | Answered
    | Opened
    | Frame
    | Closed
    | LogRead
    | PageRead
    | StateRead
    | InboxRead
    | ArtifactRead
    | Heard
    | Leftover
    | Scope
    | Settled
)
_DECODER: msgspec.json.Decoder[_Any] = msgspec.json.Decoder(_Any)


class HistoryError(ValueError):
    """What was given is no history. The message names the line."""


def to_line(record: Record) -> bytes:
    """A record as one line of JSON, with its line break."""
    return msgspec.json.encode(record) + b"\n"


def from_line(line: bytes, number: int) -> Record:
    """The record of a line. Raises HistoryError, which names the line by `number`."""
    try:
        return _DECODER.decode(line)
    except msgspec.DecodeError as error:
        raise HistoryError(f"line {number}: {error}") from error


def read_history(*paths: Path) -> list[Record]:
    """The records of files. What a killed process left unfinished at the end of its file is left out. Raises HistoryError, OSError."""
    return [record for path in paths for record in _records(path)]


def _records(path: Path) -> Iterator[Record]:
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        if line.endswith(b"\n") and line.strip():
            yield from_line(line, number)


def write_history(path: Path, records: Iterable[Record]) -> None:
    """Write records into a new file."""
    path.write_bytes(b"".join(map(to_line, records)))


class Recorder:
    """Collects the records of this process, from any thread, and writes each to a file at once where there is one."""

    def __init__(self, path: Path | None = None) -> None:
        self._records: list[Record] = []
        self._lock = threading.Lock()
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def add(self, record: Record) -> None:
        """Note a record."""
        with self._lock:
            self._records.append(record)
            if self._file is not None:
                os.write(self._file, to_line(record))

    @property
    def history(self) -> Sequence[Record]:
        """The records so far, in the order in which they were added."""
        with self._lock:
            return tuple(self._records)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
