"""What every operation depends on, built once in `app.py` and passed as the first argument."""

from dataclasses import dataclass, field
from uuid import UUID

import httpx

from hedgerow.db.database import Database
from hedgerow.db.jobs import Jobs
from hedgerow.db.notify import Hub
from hedgerow.domain.access import PersonalCaller, Project
from hedgerow.domain.artifacts import ArtifactRules
from hedgerow.domain.clock import Clock
from hedgerow.domain.masking import Mask
from hedgerow.domain.reasoning import ReasoningEfforts
from hedgerow.operations.recent import Recent
from hedgerow.operations.signing import KeyRing
from hedgerow.storage import ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the operator has decided, as far as operations need it."""

    secrets: tuple[bytes, ...] = field(repr=False)  # the first signs and encrypts, the others still verify and decrypt
    public_url: str  # how others reach this hedgerow, without a slash at the end
    git_base_url: str = "https://github.com"  # what `org/repo` is appended to
    allow_local_repositories: bool = False  # whether a path of this machine may be registered as a repository
    sandbox_url_allowlist: tuple[str, ...] = ()  # patterns such as http://127.0.0.1:* or https://*.modal.run
    reasoning: ReasoningEfforts = field(default_factory=ReasoningEfforts)
    agents: tuple[str, ...] = ("scripted", "claude", "codex")  # the names that `runtime_adapter` accepts
    mask: Mask = field(default_factory=Mask, repr=False)  # of secrets that never reach a journal
    command_timeout_seconds: float = 600.0
    stream_wait_seconds: float = 120.0  # how long a stream waits for a run's first event
    stream_limit_seconds: float = 3600.0  # a longer stream ends, and its client connects again
    keepalive_seconds: float = 20.0
    drain_seconds: float = 10.0  # how long a stream waits for the last entries of a run that has ended
    log_url_seconds: int = 3600
    artifacts: ArtifactRules = field(default_factory=ArtifactRules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """The outside world of the operations."""

    database: Database
    hub: Hub
    jobs: Jobs
    clock: Clock
    rules: Rules
    storage: ObjectStore
    http: httpx.AsyncClient  # for commands to sandboxes: no redirects, no proxies of the environment
    callers: Recent[bytes, PersonalCaller] = field(default_factory=Recent)  # by the hash of their key
    projects: Recent[tuple[UUID, str], Project] = field(default_factory=Recent)  # by key and reference
    keys: KeyRing = field(default_factory=KeyRing)  # decrypted signing keys, kept for the life of the process
