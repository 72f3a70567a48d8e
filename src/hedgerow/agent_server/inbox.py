"""The messages that were accepted for the agent, on disk: each is delivered once, whatever is repeated and whoever restarts."""

import asyncio
import contextlib
import json
import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hedgerow.agent_server.spool import append_whole
from hedgerow.domain.masking import Mask


@dataclass(eq=False, slots=True, kw_only=True)
class Prompt:
    """A message as the agent gets it: ACP content blocks, and the manifest entries of files that come with it.

    `id` is the sender's, None where it gave none and may not repeat it.
    """

    id: str | None
    blocks: list[dict[str, Any]]
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    answer: "asyncio.Future[dict[str, Any]] | None" = None  # set where somebody waits for the end of the turn


class Inbox:
    """Remembers accepted messages in one append-only file; an accepted message is on disk before anybody hears of it."""

    def __init__(self, path: Path) -> None:
        """Open the inbox; the messages that wait and those whose turn a crash cut off are read back."""
        self._ended: dict[str, dict[str, Any]] = {}
        waiting: dict[str, Prompt] = {}
        started: list[str] = []
        for record in _records(path):
            match record:
                case {"accepted": str(key), "blocks": list(blocks)}:
                    waiting[key] = Prompt(id=key, blocks=blocks, artifacts=record.get("artifacts", []))
                case {"started": str(key)}:
                    waiting.pop(key, None)
                    started.append(key)
                case {"ended": str(key), "outcome": dict(outcome)}:
                    self._ended[key] = outcome
        self.waiting = deque(waiting.values())
        self.interrupted = [key for key in started if key not in self._ended]
        self._known = {*waiting, *started}
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def knows(self, message_id: str) -> bool:
        """Whether a message of this id was accepted before."""
        return message_id in self._known

    def outcome(self, message_id: str) -> dict[str, Any] | None:
        """How the turn of a message ended; None where it has not, or is not known."""
        return self._ended.get(message_id)

    @property
    def ever_delivered(self) -> bool:
        """Whether a message was handed out before, in this life or an earlier one."""
        return bool(self._ended) or bool(self.interrupted)

    def accept(self, prompt: Prompt, mask: Mask) -> None:
        """Take a message in. Returns once it is safe on disk; OSError where it cannot be, and then it is not taken.

        Secrets do not reach the disk: a message that only a restart delivers has them masked.
        """
        if prompt.id is not None:
            files = {"artifacts": prompt.artifacts} if prompt.artifacts else {}
            self._write({"accepted": prompt.id, "blocks": prompt.blocks, **files}, mask, durable=True)
            self._known.add(prompt.id)
        self.waiting.append(prompt)

    def take(self) -> Prompt:
        """The oldest waiting message, which is never handed out again."""
        prompt = self.waiting.popleft()
        if prompt.id is not None:
            with contextlib.suppress(OSError):  # a full disk ends the run at the next entry; the message was accepted
                self._write({"started": prompt.id}, Mask(), durable=True)
        return prompt

    def finish(self, message_id: str | None, outcome: dict[str, Any]) -> None:
        """The turn of a message has ended, with the answer that its sender gets or got."""
        if message_id is not None:
            self._ended[message_id] = outcome
            with contextlib.suppress(OSError):  # it is known in memory, and after a restart counts as interrupted
                self._write({"ended": message_id, "outcome": outcome}, Mask(), durable=False)

    def _write(self, record: dict[str, Any], mask: Mask, *, durable: bool) -> None:
        line = mask.data(json.dumps(record, separators=(",", ":")).encode()) + b"\n"
        append_whole(self._file, line, os.fstat(self._file).st_size)
        if durable:
            os.fsync(self._file)


def _records(path: Path) -> list[dict[str, Any]]:
    """The whole records of an inbox file; what a crash left unfinished at its end is cut off."""
    data = path.read_bytes() if path.exists() else b""
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(path, len(whole))
    return [json.loads(line) for line in whole.splitlines()]
