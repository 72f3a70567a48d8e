"""Files that come with a message: fetched from the control plane, laid beside the agent's work, and shown to the agent as links."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hedgerow.acp_lines import encode
from hedgerow.agent_server.configuration import Configuration
from hedgerow.agent_server.entries import EntryWriter
from hedgerow.agent_server.gate_client import GateClient, GateUnreachableError
from hedgerow.domain.artifacts import file_name

FOLDER = Path(".posthog") / "attachments"
_EXCLUDED = f"/{FOLDER.as_posix()}/"
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 5.0
_LATER = {408, 425, 429}
_UNREADABLE = 400  # the control plane's store does not give the file, which may pass
_MOST_REFUSALS = 8  # in some ten seconds


class AttachmentError(Exception):
    """An attachment cannot be had."""


class Attachments:
    """Fetches what messages bring along. `write` takes journal entries."""

    def __init__(self, configuration: Configuration, writer: EntryWriter, write: Callable[[bytes], None]) -> None:
        self._configuration = configuration
        self._writer = writer
        self._write = write
        self._token = ""

    def start(self, token: str) -> None:
        """Fetch with this run token from now on."""
        self._token = token

    async def links(self, artifacts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """A resource_link block for each artifact that could be had; the journal says which could not.

        Waits for a control plane that is away: a message is not handed over without what it speaks of.
        """
        blocks: list[dict[str, Any]] = []
        gate = GateClient(self._configuration.gate_socket)
        try:
            for artifact in artifacts:
                try:
                    blocks.append(_link(artifact, await self._fetch(gate, artifact)))
                except (AttachmentError, OSError, ValueError) as problem:
                    reason = problem.strerror or problem if isinstance(problem, OSError) else problem
                    sentence = f"The attachment {artifact.get('name')!r} is not there, and the message goes without it: {reason}"
                    self._write(self._writer.console("warn", sentence))
        finally:
            gate.close()
        return blocks

    async def _fetch(self, gate: GateClient, artifact: Mapping[str, Any]) -> Path:
        path = self._place(artifact)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._exclude()
        partial = path.with_name(f".{path.name[:40]}.part")
        try:
            await self._download(gate, str(artifact.get("storage_path")), partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return path

    def _place(self, artifact: Mapping[str, Any]) -> Path:
        """Where an artifact goes: neither its id nor its name leads elsewhere."""
        folder = self._configuration.workspace / FOLDER / str(self._configuration.run_id)
        return folder / file_name(str(artifact.get("id"))) / file_name(str(artifact.get("name")))

    def _exclude(self) -> None:
        """Keep attachments out of what git sees as the agent's work."""
        git = self._configuration.workspace / ".git"
        if not git.is_dir():
            return
        path = git / "info" / "exclude"
        path.parent.mkdir(exist_ok=True)
        known = path.read_text(errors="surrogateescape") if path.exists() else ""
        if _EXCLUDED not in known.splitlines():
            separator = "" if not known or known.endswith("\n") else "\n"
            with path.open("a") as file:
                file.write(f"{separator}{_EXCLUDED}\n")

    async def _download(self, gate: GateClient, storage_path: str, target: Path) -> None:
        """Write the artifact to `target`, as often as it takes; AttachmentError where the control plane has none to give."""
        pause, refusals = _FIRST_PAUSE_SECONDS, 0
        while True:
            with contextlib.suppress(GateUnreachableError):
                status = await self._try(gate, storage_path, target)
                if status < 300:
                    return
                refusals += status == _UNREADABLE
                passes = status >= 500 or status in _LATER or (status == _UNREADABLE and refusals < _MOST_REFUSALS)
                if not passes:
                    raise AttachmentError(f"the control plane answered with status {status}.")
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)

    async def _try(self, gate: GateClient, storage_path: str, target: Path) -> int:
        path = f"{self._configuration.run_path}artifacts/download/"
        headers = {"Authorization": f"Bearer {self._token}"}
        with target.open("wb") as file:
            answer = await gate.request("POST", path, encode({"storage_path": storage_path}), headers, into=file)
        return answer.status


def _link(artifact: Mapping[str, Any], path: Path) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "resource_link", "uri": path.as_uri(), "name": path.name, "size": path.stat().st_size}
    content_type = artifact.get("content_type")
    return block | ({"mimeType": content_type} if isinstance(content_type, str) and content_type else {})
