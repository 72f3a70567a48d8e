"""A control plane of a few lines: it keeps what it is sent, and can be away, slow, refuse, or break off after having stored."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Refusal = Callable[[dict[str, Any]], bool]


class FakeControlPlane:
    """Listens on gate.sock. `entries` is the journal as a control plane would number it."""

    def __init__(self, socket: Path) -> None:
        self.entries: list[dict[str, Any]] = []
        self.previews: list[dict[str, Any]] = []
        self.patches: list[dict[str, Any]] = []
        self.relays: list[tuple[dict[str, Any], int]] = []  # each with how many entries were there before it
        self.authorizations: set[str] = set()
        self.requests = 0
        self.refuses: Refusal = lambda entry: False
        self.status = 200
        self.files: dict[str, bytes] = {}  # what artifacts/download gives, by storage path
        self.lease_seconds: float | None = None  # for how long an agent that asks may go on; None: nobody says so
        self.lease_asked = 0
        self.relay_status = 200  # of messages for the run's thread
        self.relay_asked = 0
        self.break_off_after = 0  # that many answers are lost after the work was done
        self.open = asyncio.Event()  # cleared: requests wait
        self.open.set()
        self._socket = socket
        self._keys: dict[str, bytes] = {}
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def come(self) -> None:
        """Be there."""
        self._server = await asyncio.start_unix_server(self._accept, str(self._socket), limit=64 * 1024 * 1024)

    async def go(self) -> None:
        """Be away: nothing listens, and open connections break."""
        if self._server is not None:
            self._server.close()
            self._socket.unlink(missing_ok=True)
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def until(self, holds: Callable[[], bool], timeout_seconds: float = 20.0) -> None:
        """Return once `holds` does."""
        async with asyncio.timeout(timeout_seconds):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def until_method(self, method: str, count: int = 1) -> dict[str, Any]:
        """The params of the `count`-th entry of that method, once it is there."""
        await self.until(lambda: len(self.of_method(method)) >= count)
        return self.of_method(method)[count - 1]

    def of_method(self, method: str) -> list[dict[str, Any]]:
        """The params of all entries of that method."""
        found = [entry["notification"] for entry in self.entries if "notification" in entry]
        return [message["params"] for message in found if message.get("method") == method]

    @property
    def order(self) -> list[Any]:
        """The methods of all entries."""
        return [entry.get("notification", {}).get("method") for entry in self.entries]

    def updates(self, kind: str) -> list[dict[str, Any]]:
        """All session updates of that kind."""
        return [params["update"] for params in self.of_method("session/update") if params["update"]["sessionUpdate"] == kind]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        body = await reader.readexactly(int(headers["content-length"]))
        await self.open.wait()
        if lines[0].startswith("GET /lease "):
            return await self._lend(writer)
        self.requests += 1
        self.authorizations.add(headers["authorization"])
        status, answer = self._store(lines[0], headers, body)
        self._changed.set()
        if self.break_off_after and status == 200:
            self.break_off_after -= 1
            return False
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer)
        await writer.drain()
        return True

    async def _lend(self, writer: asyncio.StreamWriter) -> bool:
        self.lease_asked += 1
        self._changed.set()
        answer = b"{}" if self.lease_seconds is None else json.dumps({"seconds": self.lease_seconds}).encode()
        writer.write(f"HTTP/1.1 {503 if self.lease_seconds is None else 200} X\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer)
        await writer.drain()
        return True

    def _store(self, request_line: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if self.status != 200:
            return self.status, b'{"detail":"not now"}'
        document = json.loads(body)
        if "/artifacts/download/" in request_line:
            content = self.files.get(document["storage_path"])
            return (404, b'{"error":"not here"}') if content is None else (200, content)
        if request_line.startswith("PATCH"):
            self.patches.append(document)
            return 200, b"{}"
        key = headers.get("idempotency-key")
        if key is not None and key in self._keys:
            return (200, b"{}") if self._keys[key] == body else (409, b'{"detail":"another body"}')
        if "/relay_message/ " in request_line:
            self.relay_asked += 1
            if self.relay_status == 200:
                self.relays.append((document, len(self.entries)))
                self._keys[headers["idempotency-key"]] = body
            return self.relay_status, b"{}"
        if any(self.refuses(entry) for entry in document["entries"]):
            return 400, b'{"detail":"bad entry"}'
        self._keep(document["entries"])
        if key is not None:
            self._keys[key] = body
        return 200, b"{}"

    def _keep(self, entries: list[dict[str, Any]]) -> None:
        for entry in entries:
            update = entry.get("notification", {}).get("params", {}).get("update", {})
            (self.previews if update.get("sessionUpdate") == "agent_message_chunk" else self.entries).append(entry)
