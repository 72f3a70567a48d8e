"""What every operation depends on, built once in `app.py` and passed as the first argument."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from uuid import UUID

import httpx

from hedgerow.db.database import Database
from hedgerow.db.jobs import Jobs
from hedgerow.db.notify import Hub
from hedgerow.domain.access import PersonalCaller, Project
from hedgerow.domain.artifacts import ArtifactRules
from hedgerow.domain.checkpoints import CheckpointRules
from hedgerow.domain.clock import Clock
from hedgerow.domain.github import GitHubBranches, GitHubRepository
from hedgerow.domain.masking import Mask
from hedgerow.domain.permission_requests import PermissionPolicy
from hedgerow.domain.reasoning import ReasoningEfforts
from hedgerow.integrations.base import Messenger
from hedgerow.integrations.github import GitHubOptions
from hedgerow.integrations.memory import MemoryMessenger
from hedgerow.operations.recent import Recent
from hedgerow.operations.remembered import Remembered
from hedgerow.operations.signing import KeyRing
from hedgerow.storage import ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the operator has decided, as far as operations need it."""

    secrets: tuple[bytes, ...] = field(repr=False)  # the first signs and encrypts, the others still verify and decrypt
    public_url: str  # how others reach this hedgerow, without a slash at the end
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()  # whose word for how a client reaches us counts above public_url
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
    reader_stall_seconds: float = 30.0  # how long a client may leave a piece of an answer unread
    sender_stall_seconds: float = 30.0  # within which a client sends a fair part of its body, or the end of it
    artifacts: ArtifactRules = field(default_factory=ArtifactRules)
    checkpoints: CheckpointRules = field(default_factory=CheckpointRules)
    most_calls: Mapping[int, int] = field(default_factory=dict)  # of one project: length of a window in seconds to calls; 0: any number
    background_permissions: PermissionPolicy | None = None  # how background runs answer; None: yes, at once
    permission_timeout_seconds: float = 1800.0  # how long the request of a background run waits for a person
    readiness_cache_seconds: float = 600.0  # how long an answer about a repository's readiness is given again
    readiness_wait_seconds: float = 5.0  # how long a request waits for a scan
    readiness_fetch_seconds: float = 60.0  # a scan that is younger is as good as a new one
    slack_bot_token: str | None = field(default=None, repr=False)  # of projects that have none of their own
    slack_timeout_seconds: float = 15.0  # of one call to Slack
    slack_attempts: int = 20  # to post one message
    slack_waiting: int = 1000  # messages of one run that may wait to be posted
    slack_days: float = 30.0  # how long it is known what was posted; 0: for ever
    github: GitHubOptions = field(default_factory=GitHubOptions)
    feature_flags: tuple[str, ...] = ()  # those that are on


@dataclass(frozen=True, slots=True)
class GitHubAnswers:
    """What GitHub said lately."""

    repositories: Remembered[list[GitHubRepository]] = field(default_factory=Remembered)  # by the owner of the credentials
    branches: Remembered[GitHubBranches] = field(default_factory=Remembered)  # by owner and repository
    installation_tokens: Remembered[str] = field(default_factory=Remembered)  # by installation
    install_urls: Remembered[str] = field(default_factory=Remembered)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """The outside world of the operations."""

    database: Database
    hub: Hub
    jobs: Jobs
    clock: Clock
    rules: Rules
    storage: ObjectStore
    messenger: Messenger = field(default_factory=MemoryMessenger)  # posts what runs have to say
    http: httpx.AsyncClient  # for commands to sandboxes: no redirects, no proxies of the environment
    outside: httpx.AsyncClient | None = None  # for services of others, through the environment's proxies; None: `http`
    callers: Recent[bytes, PersonalCaller] = field(default_factory=Recent)  # by the hash of their key
    projects: Recent[tuple[UUID, str], Project] = field(default_factory=Recent)  # by key and reference
    github: GitHubAnswers = field(default_factory=GitHubAnswers)
    keys: KeyRing = field(default_factory=KeyRing)  # decrypted signing keys, kept for the life of the process
