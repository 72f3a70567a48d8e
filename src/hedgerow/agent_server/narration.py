"""Puts pieces of text together: an agent streams words, the journal keeps what was said."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from hedgerow.agent_server.entries import EntryWriter
from hedgerow.agent_server.journal import Journal

_THOUGHT_SECONDS = 1.0  # thoughts have no preview of their own, so a long one is shown piece by piece
_LARGEST_PIECE = 256 * 1024
_TURN_TEXT_LIMIT = 1024 * 1024


class Narration:
    """Joins message chunks into `agent_message` entries, and thought chunks into fewer `agent_thought_chunk` entries.

    Message chunks are shown as previews at once; what may be the beginning of a secret waits for the text that follows it.
    """

    def __init__(self, journal: Journal, writer: EntryWriter, write: Callable[[bytes], None]) -> None:
        self._journal = journal
        self._writer = writer
        self._write = write
        self._kind: str | None = None
        self._message_id: object = None
        self._session_id: str | None = None
        self._stamp = ""
        self._pieces: list[str] = []
        self._size = 0
        self._unshown = ""
        self._timer: asyncio.TimerHandle | None = None
        self._said: list[str] = []
        self._said_size = 0

    def begin_turn(self) -> None:
        """Forget what was said before."""
        self._said, self._said_size = [], 0

    @property
    def said(self) -> str:
        """What the agent has said in this turn, its messages parted by blank lines."""
        return self._writer.mask.text("\n\n".join(self._said))

    def takes(self, params: Mapping[str, Any]) -> bool:
        """Take a session update in if it is a chunk of text; whether it was one. Any other update ends the text before it."""
        update = params.get("update")
        kind = update.get("sessionUpdate") if isinstance(update, dict) else None
        if not isinstance(update, dict) or kind not in {"agent_message_chunk", "agent_thought_chunk"}:
            self.flush()
            return False
        content = update.get("content")
        text = content.get("text") if isinstance(content, dict) and content.get("type") == "text" else None
        if not isinstance(text, str):
            self.flush()
            return self._whole(kind, update)
        self._add(kind, update.get("messageId"), params.get("sessionId"), text)
        return True

    def flush(self) -> None:
        """Write down the text that has come in so far."""
        if self._timer is not None:
            self._timer.cancel()
        text, kind, stamp, session_id = "".join(self._pieces), self._kind, self._stamp, self._session_id
        self._pieces, self._kind, self._timer, self._size, self._unshown = [], None, None, 0, ""
        if not text:
            return
        content = {"type": "text", "text": self._writer.mask.text(text)}
        if kind == "agent_message_chunk":
            self._remember(text)
            self._write(self._writer.update({"sessionUpdate": "agent_message", "content": content}, stamp=stamp))
        else:
            self._write(self._writer.update({"sessionUpdate": kind, "content": content}, session_id=session_id, stamp=stamp))

    def _whole(self, kind: str, update: Mapping[str, Any]) -> bool:
        """A picture or another block: it is kept as a message, for chunks are never stored. Thoughts pass as they are."""
        if kind != "agent_message_chunk":
            return False
        self._write(self._writer.update({**update, "sessionUpdate": "agent_message"}))
        return True

    def _add(self, kind: str, message_id: object, session_id: object, text: str) -> None:
        if kind != self._kind or message_id != self._message_id or self._size + len(text) > _LARGEST_PIECE:
            self.flush()
        if self._kind is None:
            self._kind, self._message_id, self._stamp = kind, message_id, self._writer.stamp()
            self._session_id = session_id if isinstance(session_id, str) else None
            if kind == "agent_thought_chunk":
                self._timer = asyncio.get_running_loop().call_later(_THOUGHT_SECONDS, self.flush)
        self._pieces.append(text)
        self._size += len(text)
        if kind == "agent_message_chunk":
            self._show(self._unshown + text)

    def _show(self, text: str) -> None:
        safe = len(text) - self._writer.mask.unfinished(text)
        self._unshown = text[safe:]
        if not safe:
            return
        content = {"type": "text", "text": self._writer.mask.text(text[:safe])}
        update = {"sessionUpdate": "agent_message_chunk", "content": content}
        self._journal.preview(self._writer.update(update, session_id=self._session_id))

    def _remember(self, text: str) -> None:
        self._said_size += len(text)
        if self._said_size <= _TURN_TEXT_LIMIT:
            self._said.append(text)
