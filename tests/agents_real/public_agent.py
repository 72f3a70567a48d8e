"""The public agent package of the API's origin, unchanged: its agent server as a process on loopback, and its client class.

Only its name and its checksums are here (packages/public_agent); npm lays it into the folder of the agents, once. Its licence is MIT.
"""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
import httpx
import pytest

from hedgerow.agents.folder_copy import make_folder
from hedgerow.agents.node import find_node
from hedgerow.agents.options import AgentOptions, without_secrets
from hedgerow.agents.programs import run
from hedgerow.domain.errors import UnavailableError
from tests.end_to_end.house import House, methods

VERSION = "2.4.187"
MODELS = {"claude": "claude-opus-4-7", "codex": "gpt-5.5"}

_HERE = Path(__file__).parent / "packages" / "public_agent"
_NPM = ("ci", "--ignore-scripts", "--omit=dev", "--no-global", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
_INSTALL_SECONDS = 900


@dataclass(frozen=True)
class PublicAgent:
    """The installed package, with a Node that is new enough for it."""

    node: Path
    package: Path

    def use_api(self, house: House, run: dict[str, Any]) -> dict[str, Any]:
        """What its client class, and its agent for a person's own machine, got from the API for a run (client.mjs)."""
        credentials = json.loads((house.data_dir / "credentials.json").read_text())
        options = {"url": credentials["url"], "key": credentials["api_key"], "project": credentials["project_id"]}
        done = subprocess.run(
            [str(self.node), str(_HERE / "client.mjs"), str(self.package / "dist")],
            input=json.dumps(options | {"task": run["task"], "run": run["id"]}),
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], "HOME": str(house.data_dir)},
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said


def installed(folder: Path) -> PublicAgent:
    """The package, installed first where it is missing.

    Skips the test where npm or its registry cannot be had, but never in CI as root, where both are.
    """
    try:
        return asyncio.run(_install(folder))
    except UnavailableError as error:
        if os.environ.get("CI") and os.getuid() == 0:
            raise
        pytest.skip(f"the public agent package cannot be installed: {error.message}")


async def _install(folder: Path) -> PublicAgent:
    home = folder / "public_agent" / VERSION
    home.parent.mkdir(parents=True, exist_ok=True)
    async with filelock.AsyncFileLock(home.parent / ".lock"):
        # The package needs a newer Node than the agents do, so that of the package index is taken whatever else is on PATH.
        options = AgentOptions(environment=without_secrets(os.environ) | {"PATH": str(Path(sys.executable).parent)})
        node = await find_node(home, options)
        if not home.exists():
            partial = home.with_name(f".{VERSION}.partial")
            try:
                await _lay_out(partial, node.npm)
                partial.rename(home)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return PublicAgent(node.program, home / "node_modules" / "@posthog" / "agent")


async def _lay_out(partial: Path, npm: tuple[str, ...]) -> None:
    shutil.rmtree(partial, ignore_errors=True)
    make_folder(partial)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(_HERE / name, partial / name)
    environment = without_secrets(os.environ) | {"PATH": f"{Path(npm[0]).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    command = (*npm, *_NPM, "--cache", str(partial / ".npm"), "--prefix", str(partial))
    await run(command, environment=environment, cwd=partial, timeout_seconds=_INSTALL_SECONDS)
    shutil.rmtree(partial / ".npm", ignore_errors=True)


@dataclass
class AgentServer:
    """Its agent server at work on a run that our own worker leaves alone. Leaving the block ends it as its operator would."""

    agent: PublicAgent
    house: House
    run: dict[str, Any]
    folder: Path
    repository: Path
    model_url: str
    port: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)

    def __enter__(self) -> "AgentServer":
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.folder.mkdir()
        with (self.folder / "said.txt").open("w") as said:
            self._process = subprocess.Popen(
                self._command(), env=self._environment(), stdout=said, stderr=subprocess.STDOUT, start_new_session=True
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            assert self._process.wait(timeout=20) == 0, self.said()
        finally:
            self._process.kill()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def path(self) -> str:
        """The run's URL below the project."""
        return f"tasks/{self.run['task']}/runs/{self.run['id']}/"

    def said(self) -> str:
        """All that it wrote to its output."""
        return (self.folder / "said.txt").read_text()

    def ended_turns(self, number: int) -> list[dict[str, Any]]:
        """The run's own log once that many turns are over in it."""
        entries: list[dict[str, Any]] = []

        def over() -> bool:
            nonlocal entries
            with self.house.client() as http:
                entries = http.get(f"{self.path}session_logs/", params={"limit": 5000}).raise_for_status().json()
            return methods(entries).count("_posthog/turn_complete") >= number

        self.wait_until(over)
        return entries

    def wait_until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Look until something is so; fails with all that the server said where it never is."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self._process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def listen(self, token: str) -> None:
        """Gather its events from now on, let in by a connection token."""
        threading.Thread(target=self._gather, args=(token,), daemon=True).start()
        self.wait_until(lambda: any(event.get("type") == "connected" for event in self.events))

    def tell(self, token: str, content: str) -> dict[str, Any]:
        """What it answers to a message that is sent to it directly, after the whole turn."""
        message = {"jsonrpc": "2.0", "id": 1, "method": "user_message", "params": {"content": content}}
        answer = httpx.post(f"{self.url}/command", json=message, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        answered: dict[str, Any] = answer.raise_for_status().json()
        return answered

    def _gather(self, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(timeout=None) as http, http.stream("GET", f"{self.url}/events", headers=headers) as answer:
            try:
                for line in answer.raise_for_status().iter_lines():
                    if line.startswith("data:"):
                        self.events.append(json.loads(line[5:]))
            except httpx.RemoteProtocolError:  # the server has ended
                return

    def _command(self) -> list[str]:
        program = [str(self.agent.node), "--require", str(_HERE / "loopback.cjs"), str(self.agent.package / "dist" / "server" / "bin.js")]
        about = ["--port", str(self.port), "--taskId", self.run["task"], "--runId", self.run["id"]]
        return [*program, *about, "--repositoryPath", str(self.repository), "--createPr", "false"]

    def _environment(self) -> dict[str, str]:
        credentials = json.loads((self.house.data_dir / "credentials.json").read_text())
        key = httpx.get(f"{credentials['url']}/api/connection_public_key/").raise_for_status().json()["public_key"]
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "IS_SANDBOX": "1",
            "JWT_PUBLIC_KEY": key,
            "LLM_GATEWAY_URL": self.model_url,
            "POSTHOG_API_URL": credentials["url"],
            "POSTHOG_PERSONAL_API_KEY": credentials["api_key"],
            "POSTHOG_PROJECT_ID": str(credentials["project_id"]),
            "POSTHOG_CODE_RUNTIME_ADAPTER": self.run["runtime_adapter"],
            "POSTHOG_CODE_MODEL": self.run["model"],
        }
