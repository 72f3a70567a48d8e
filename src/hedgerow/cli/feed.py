"""Brings everything that may happen while a run is followed into one line, for the one thread that shows it."""

import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hedgerow.client import ClientError, Update

_AHEAD = 2000  # how many updates may be read before they are shown


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Ctrl-C was pressed."""


@dataclass(frozen=True, slots=True)
class Told:
    """What came of something that was asked in the background."""

    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """The run cannot be followed any further."""

    error: BaseException


Happening = Update | Interrupted | Told | Lost


class Feed:
    """A queue that a reading thread, background calls and a signal handler fill."""

    def __init__(self, updates: Callable[[], Iterable[Update]]) -> None:
        self._updates = updates
        self._queue: queue.SimpleQueue[Happening] = queue.SimpleQueue()  # its put may interrupt itself: a signal handler calls it
        self._room = threading.Semaphore(_AHEAD)

    def start(self) -> None:
        """Begin to read, in a thread that dies with the program."""
        threading.Thread(target=self._read, name="follow", daemon=True).start()

    def next(self, timeout_seconds: float | None) -> Happening | None:
        """The next thing that happened; None where nothing did for so long."""
        try:
            happening = self._queue.get(timeout=timeout_seconds)
        except queue.Empty:
            return None
        if not isinstance(happening, Interrupted | Told | Lost):
            self._room.release()
        return happening

    def ask(self, question: Callable[[], str]) -> None:
        """Ask hedgerow something in the background; what came of it comes through this feed."""
        threading.Thread(target=self._tell, args=(question,), name="ask", daemon=True).start()

    def interrupt(self) -> None:
        """Note a Ctrl-C."""
        self._queue.put(Interrupted())

    def _tell(self, question: Callable[[], str]) -> None:
        try:
            told = Told(question())
        except ClientError as error:
            told = Told(error.message, failed=True)
        self._queue.put(told)

    def _read(self) -> None:
        try:
            for update in self._updates():
                self._room.acquire()
                self._queue.put(update)
        except Exception as error:  # noqa: BLE001 - it is raised again where it can be shown
            self._queue.put(Lost(error))


@contextmanager
def ctrl_c(handler: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C call `handler` instead of breaking off whatever runs. Without effect outside of the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: handler())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def ctrl_c_breaks_off() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt again, for as long as a person is being asked. For the main thread alone."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
