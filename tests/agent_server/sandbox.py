"""A sandbox of the tests: folders, keys, and the real agent server in a process of its own."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.agent_server.fake_control_plane import FakeControlPlane

RUN_TOKEN = "hrt_run-token-of-the-test"
SECRET = "sk-ant-0123456789"


class Sandbox:
    """Starts and ends agent servers over one spool."""

    def __init__(self, folder: Path, private_key: rsa.RSAPrivateKey) -> None:
        self.folder = folder
        self.workspace = folder / "workspace"
        self.spool = folder / "spool"
        self.run_id = str(uuid4())
        self.control_plane = FakeControlPlane(folder / "gate.sock")
        self.process: asyncio.subprocess.Process | None = None
        self.http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(folder / "agent.sock"), verify=False), base_url="http://sandbox", timeout=30
        )
        self._private_key = private_key
        self.workspace.mkdir()

    async def __aenter__(self) -> Self:
        await self.control_plane.come()
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.kill()
        await self.control_plane.go()
        await self.http.aclose()

    async def start(self, log: int = asyncio.subprocess.PIPE) -> None:
        """Start the agent server, with its standard error going to `log`, and wait until it answers."""
        public = self._private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {
            "HEDGEROW_RUN_ID": self.run_id,
            "HEDGEROW_TASK_ID": str(uuid4()),
            "HEDGEROW_PROJECT_ID": "1",
            "HEDGEROW_SOCKETS": str(self.folder),
            "HEDGEROW_SPOOL": str(self.spool),
            "HEDGEROW_WORKSPACE": str(self.workspace),
            "JWT_PUBLIC_KEY": public,
        }
        self.process = await asyncio.create_subprocess_exec(sys.executable, "-m", "hedgerow.agent_server", env=environment, stderr=log)
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_unix_connection(self.folder / "agent.sock")
                except OSError:
                    await asyncio.sleep(0.01)
                else:
                    writer.close()
                    return

    async def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            if self.process.returncode is None:
                self.process.kill()
            _, words = await self.process.communicate()
            self.process = None
            assert b"Traceback" not in (words or b""), words.decode()

    async def terminate(self) -> tuple[int | None, str]:
        """SIGTERM; the exit code and what it said."""
        assert self.process is not None
        process, self.process = self.process, None
        process.terminate()
        async with asyncio.timeout(20):
            _, words = await process.communicate()
        return process.returncode, words.decode()

    def token(self, **claims: Any) -> str:
        """A connection token, with other claims where they are given."""
        sound = {"run_id": self.run_id, "aud": "posthog:sandbox_connection", "exp": time.time() + 600}
        return jwt.encode(sound | claims, self._private_key, "RS256")

    @property
    def headers(self) -> dict[str, str]:
        """The headers of an authorised caller."""
        return {"Authorization": f"Bearer {self.token()}"}

    async def session(self, *command: str, mode: str = "background", more: dict[str, Any] | None = None, **agent: Any) -> httpx.Response:
        """Start a session, with the scripted agent unless another command is given. `more` stands beside the agent in the body."""
        wanted = {
            "command": list(command) or [sys.executable, "-m", "hedgerow.scripted_agent"],
            "environment": {"ANTHROPIC_API_KEY": SECRET},
        }
        body = {"run_token": RUN_TOKEN, "epoch": 1, "mode": mode, "agent": wanted | agent, **(more or {})}
        return await self.http.post("/session", json=body, headers=self.headers)

    async def command(self, method: str, *, prefer: str = "", **params: Any) -> httpx.Response:
        """Send a command."""
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        return await self.http.post("/command", json=body, headers=self.headers | {"Prefer": prefer})

    async def play(self, *steps: Any) -> dict[str, Any]:
        """Let the scripted agent play steps; the JSON-RPC answer after the turn."""
        answer = await self.command("user_message", content=json.dumps(steps))
        document: dict[str, Any] = answer.json()
        return document

    def play_later(self, *steps: Any) -> "asyncio.Task[dict[str, Any]]":
        """The same, without waiting."""
        return asyncio.create_task(self.play(*steps))

    def spooled(self) -> list[dict[str, Any]]:
        """Every entry of the spool."""
        return [json.loads(line) for line in (self.spool / "entries").read_bytes().splitlines()]
