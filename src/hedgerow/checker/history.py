"""Histories: lists of records, and their form as lines of JSON, so that a process that may be killed can write one."""

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

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

_TYPES: dict[str, type[Record]] = {
    "sent": Sent,
    "answered": Answered,
    "opened": Opened,
    "frame": Frame,
    "closed": Closed,
    "log_read": LogRead,
    "page_read": PageRead,
    "state_read": StateRead,
    "inbox_read": InboxRead,
    "artifact_read": ArtifactRead,
    "heard": Heard,
    "leftover": Leftover,
    "scope": Scope,
    "settled": Settled,
}
_NAMES = {kind: name for name, kind in _TYPES.items()}
_RECORD = "record"


class HistoryError(ValueError):
    """What was given is no history. The message names the line."""


def to_line(record: Record) -> bytes:
    """A record as one line of JSON, with its line break."""
    members = {field.name: getattr(record, field.name) for field in fields(record)}
    return msgspec.json.encode({_RECORD: _NAMES[type(record)], **members}) + b"\n"


def from_line(line: bytes, number: int) -> Record:
    """The record of a line. Raises HistoryError, which names the line by `number`."""
    try:
        document = msgspec.json.decode(line, type=dict[str, Any])
        kind = _TYPES[document.pop(_RECORD)]
        unknown = document.keys() - {field.name for field in fields(kind)}
        if unknown:
            raise HistoryError(f"line {number}: a record of this kind has no {', '.join(sorted(unknown))}")
        return msgspec.convert(document, type=kind)
    except KeyError as error:
        known = ", ".join(_TYPES)
        raise HistoryError(f"line {number}: `{_RECORD}` must be one of: {known}") from error
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
