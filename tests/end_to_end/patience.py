"""How long clients go on trying where servers come and go."""

import threading
import time
from collections.abc import Iterator


class Patience:
    """So many seconds for each thing, and none any more once everybody was told to give up."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._given_up = threading.Event()

    def tries(self, pause_seconds: float) -> Iterator[None]:
        """One more try each time, with a pause in between, for as long as the patience lasts."""
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline and not self._given_up.is_set():
            yield
            self._given_up.wait(pause_seconds)

    def wait(self, seconds: float) -> None:
        """A pause, cut short where everybody is told to give up."""
        self._given_up.wait(seconds)

    def give_up(self) -> None:
        """Let nobody try any further."""
        self._given_up.set()
