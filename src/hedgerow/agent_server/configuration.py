"""What the agent server is told at its start. Nothing here is secret: secrets come with the session, in memory."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

OWN_VARIABLES = (
    "HEDGEROW_RUN_ID",
    "HEDGEROW_TASK_ID",
    "HEDGEROW_PROJECT_ID",
    "HEDGEROW_SOCKETS",
    "HEDGEROW_SPOOL",
    "HEDGEROW_WORKSPACE",
    "HEDGEROW_ISOLATED",
    "JWT_PUBLIC_KEY",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Where the agent server of one run listens, spools and works."""

    run_id: UUID
    task_id: UUID
    project_id: int
    sockets: Path
    spool: Path
    workspace: Path
    public_key: str  # PEM; signs of connection tokens are checked with it
    isolated: bool = False  # whether the sandbox has no network of its own
    base_environment: Mapping[str, str] | None = None  # what the agent's process inherits

    @property
    def agent_socket(self) -> Path:
        """Where the agent server listens."""
        return self.sockets / "agent.sock"

    @property
    def gate_socket(self) -> Path:
        """Where the control plane is reached."""
        return self.sockets / "gate.sock"

    @property
    def egress_socket(self) -> Path:
        """Where the proxy to allowed hosts is reached."""
        return self.sockets / "egress.sock"

    @property
    def run_path(self) -> str:
        """The run's own URL path at the control plane, with a slash at its end."""
        return f"/api/projects/{self.project_id}/tasks/{self.task_id}/runs/{self.run_id}/"


def from_environment(environment: Mapping[str, str] | None = None) -> Configuration:
    """The configuration that stands in `environment`; ValueError names the variable that is missing or wrong."""
    given = os.environ if environment is None else environment
    return Configuration(
        run_id=_uuid(given, "HEDGEROW_RUN_ID"),
        task_id=_uuid(given, "HEDGEROW_TASK_ID"),
        project_id=_whole_number(given, "HEDGEROW_PROJECT_ID"),
        sockets=_folder(given, "HEDGEROW_SOCKETS"),
        spool=_folder(given, "HEDGEROW_SPOOL"),
        workspace=_folder(given, "HEDGEROW_WORKSPACE"),
        public_key=_text(given, "JWT_PUBLIC_KEY").replace("\\n", "\n"),
        isolated=given.get("HEDGEROW_ISOLATED", "0") == "1",
        base_environment={name: value for name, value in given.items() if name not in OWN_VARIABLES},
    )


def _text(given: Mapping[str, str], name: str) -> str:
    value = given.get(name, "")
    if not value:
        raise ValueError(f"The environment variable {name} is missing.")
    return value


def _uuid(given: Mapping[str, str], name: str) -> UUID:
    try:
        return UUID(_text(given, name))
    except ValueError as error:
        raise ValueError(f"The environment variable {name} must hold a UUID.") from error


def _whole_number(given: Mapping[str, str], name: str) -> int:
    value = _text(given, name)
    if not value.isascii() or not value.isdigit():
        raise ValueError(f"The environment variable {name} must hold a whole number.")
    return int(value)


def _folder(given: Mapping[str, str], name: str) -> Path:
    path = Path(_text(given, name))
    if not path.is_absolute():
        raise ValueError(f"The environment variable {name} must hold an absolute path.")
    return path
