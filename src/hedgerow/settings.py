"""What the operator may decide, each as an environment variable HEDGEROW_<NAME>. Read by the start floor alone, handed down as values."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from hedgerow.data_directory import default_data_dir
from hedgerow.domain.errors import InvalidError
from hedgerow.domain.permission_requests import PermissionPolicy
from hedgerow.domain.reasoning import ReasoningEfforts
from hedgerow.domain.sandboxes import HostPort

PREFIX = "HEDGEROW_"

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _host_port(value: object) -> object:
    if not isinstance(value, str):
        return value
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{value} is no host:port")
    return HostPort(host.strip("[]").lower(), int(port))


def _network(value: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(str(value))
    except ValueError as problem:
        raise ValueError(f"{value} is no address and no network") from problem


def _address(value: str, schemes: tuple[str, ...]) -> str:
    if urlsplit(value).scheme not in schemes:
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return value.rstrip("/")


def _absolute(value: Path) -> Path:
    return Path(os.path.abspath(value.expanduser()))  # noqa: PTH100 - symbolic links are the operator's choice


def _database_address(value: SecretStr) -> SecretStr:
    if not re.match(r"postgres(ql)?://", value.get_secret_value()):
        raise ValueError("must begin with postgresql://")
    return value


def _one_word(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be one word")
    return value


Strings = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]
Address = Annotated[str, AfterValidator(partial(_address, schemes=("http", "https")))]
StorageAddress = Annotated[str, AfterValidator(partial(_address, schemes=("file", "s3")))]
GitAddress = Annotated[str, AfterValidator(partial(_address, schemes=("http", "https", "ssh", "git", "file")))]
DatabaseAddress = Annotated[SecretStr, AfterValidator(_database_address)]
SlackToken = Annotated[SecretStr, AfterValidator(_one_word)]
Hosts = Annotated[tuple[Annotated[HostPort, BeforeValidator(_host_port)], ...], NoDecode, BeforeValidator(_split)]
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network)]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_split)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """Every setting with its sentence; `hedgerow settings` prints them."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True)

    data_dir: Annotated[Path, AfterValidator(_absolute)] = Field(
        default_factory=default_data_dir,
        description="Every local file: the embedded PostgreSQL, objects, mirrors, workspaces, credentials.json.",
    )
    database_url: DatabaseAddress | None = Field(
        None, description="A PostgreSQL server (15 or newer); unset: the embedded one in the data directory."
    )
    database_pool_size: int = Field(
        10,
        ge=2,
        le=1000,
        description="How many connections to PostgreSQL one process uses for calls; a few more serve its queue, wake-ups and whole logs.",
    )
    storage_url: StorageAddress | None = Field(
        None, description="Where objects lie: file:///... (default: in the data directory) or s3://bucket?endpoint=...&region=..."
    )
    secret_key: SecretStr | None = Field(None, description="Signs tokens and encrypts keys; made in the data directory when unset.")
    secret_keys_old: Secrets = Field((), description="Earlier secret keys, comma-separated: they still verify and decrypt.")

    host: str = Field("127.0.0.1", description="The address that the API listens on.")
    port: Port = Field(8010, description="The port that the API listens on; 0 takes any free one.")
    public_url: Address | None = Field(
        None, description="How others reach this hedgerow (links, forms, log_url); default http://HOST:PORT."
    )
    trusted_proxies: Networks = Field(
        (),
        description="Proxies whose X-Forwarded-Proto, -Host, -Port, -Prefix or Forwarded headers say how a client reaches this hedgerow, "
        "comma-separated addresses or networks such as 10.0.0.0/8.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged on stderr: this level and above.")
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="How log lines look; auto: for people on a terminal, JSON elsewhere."
    )
    first_task: bool = Field(True, description="Whether `up` runs a first task on a sample repository when the database is empty.")

    git_base_url: GitAddress = Field("https://github.com", description="What a repository's name org/repo is appended to.")
    allow_local_repositories: bool | None = Field(
        None, description="Whether paths of this machine may be repositories; unset: on for `up` on a loopback address, else off."
    )
    github_api_url: Address = Field("https://api.github.com", description="GitHub's REST API, or that of a GitHub Enterprise server.")
    github_url: Address | None = Field(
        None, description="Where git finds GitHub's repositories; default: the host of HEDGEROW_GITHUB_API_URL, without a leading `api.`."
    )
    github_app_id: str | None = Field(None, description="The id, or the client id, of the operator's GitHub App.")
    github_app_private_key: SecretStr | None = Field(
        None, description="The private key of the GitHub App: its PEM text, or the path of the file that holds it."
    )
    github_timeout_seconds: Seconds = Field(10, description="How long one answer of GitHub may take; a whole list six times as long.")
    github_list_limit: int = Field(5000, ge=1, description="How many repositories, or branches of one, the GitHub pickers list at most.")
    github_list_age_seconds: Seconds = Field(600, description="How old the lists of the GitHub pickers may be.")
    feature_flags: Strings = Field((), description="The feature flags that clients find switched on, comma-separated.")
    sandbox_url_allowlist: Strings = Field(
        (), description="Addresses that a client may set as a run's sandbox_url, comma-separated patterns such as http://127.0.0.1:*."
    )

    sandbox: Literal["auto", "process", "bubblewrap"] = Field(
        "auto",
        description="What agents run in; auto: bubblewrap where it works, and without it the scripted agent alone in a bare process.",
    )
    sandbox_uid: int = Field(61_010, gt=0, lt=2**31, description="The user and group id that sandboxes run as where hedgerow runs as root.")
    egress_allow: Hosts = Field((), description="Hosts that every agent may reach besides its model's, comma-separated host:port.")

    worker_host: str = Field("127.0.0.1", description="The address that a worker's gate to its sandboxes listens on.")
    worker_port: Port = Field(0, description="The port of a worker's gate; 0 takes any free one.")
    worker_url: Address | None = Field(None, description="How the API reaches this worker's gate; default http://WORKER_HOST:<its port>.")
    worker_concurrency: int = Field(16, ge=1, le=1000, description="How many runs one worker looks after at the same moment.")
    node_lease_seconds: float = Field(
        30,
        ge=2,
        le=3600,
        description="How long a machine may hold its runs without a report: then its agents stop, and another machine takes them over.",
    )
    control_plane_url: Address | None = Field(
        None, description="How a worker reaches the API; default: the public URL, and within `up` the API of the same process."
    )

    inactivity_timeout_minutes: float = Field(30, gt=0, description="How long an interactive run waits for a message before it ends.")
    wall_clock_minutes: float = Field(24 * 60, gt=0, description="How long a run may take as a whole.")
    turn_silence_minutes: float = Field(
        60,
        ge=0,
        le=525_600,
        description="How long nothing may come of a running turn before its agent is given up; what waits for a person is not silent. "
        "0: as long as the run may take.",
    )
    sandbox_minutes: float = Field(
        0, ge=0, le=525_600, description="How long one sandbox may live before its run ends; 0: as long as the run may take."
    )
    landing_seconds: float = Field(
        60,
        ge=0,
        le=86_400,
        description="How long before a run's time or its sandbox's is over the agent is asked to stop its turn; a quarter of it at most.",
    )
    stopping_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        30, description="How long an agent that has gone silent may take to stop its turn when it is asked to."
    )
    max_runs_per_project: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="How many runs of one project may be at work at once; further ones wait in line. 0: as many as there are. "
        "The same for all workers.",
    )
    max_runs: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="How many runs may be at work at once over all projects. 0: as many as there are. The same for all workers.",
    )
    prepare_attempts: int = Field(
        3, ge=1, le=100, description="How often it is tried to prepare a run where that fails for a reason that may pass."
    )
    prepare_pause_seconds: float = Field(
        2, gt=0, le=3600, description="How long to wait before preparing a run is tried again; each further pause is twice as long."
    )
    sandbox_probe_seconds: float = Field(1, gt=0, le=15, description="How often a worker looks whether its sandboxes live.")
    agent_probe_seconds: float = Field(
        15, gt=0, le=3600, description="How often a worker asks the agent servers of running turns for a sign of life."
    )
    agent_server_silence_seconds: float = Field(
        60, gt=0, le=86_400, description="How long the agent server of a running turn may leave that unanswered before its run ends."
    )
    look_again_seconds: Seconds = Field(30, description="The longest time between two looks at a live run.")

    checkpoint_minutes: float = Field(
        5, ge=0, description="How long a turn runs until the files are checkpointed again; 0: they are between turns alone."
    )
    checkpoint_bytes: int = Field(268_435_456, gt=0, le=2**40, description="How many bytes the pack of one checkpoint may have.")
    checkpoint_seconds: Seconds = Field(120, description="How long taking a checkpoint, or restoring one, may last.")
    checkpoints_kept: int = Field(3, ge=1, le=1000, description="How many checkpoints of a run are kept.")

    background_permissions: PermissionPolicy | None = Field(
        None,
        description="How the permission requests of background runs are answered: allow, reject or ask (a person, within "
        "HEDGEROW_PERMISSION_TIMEOUT_MINUTES); unset: the permission mode says what an agent has to ask, and it gets a yes at once.",
    )
    permission_timeout_minutes: float = Field(
        30, gt=0, le=525_600, description="How long a permission request of a background run waits for a person before it is rejected."
    )

    claude_model: str | None = Field(None, description="The model of claude where a run names none; unset: the agent's own choice.")
    codex_model: str | None = Field(None, description="The model of codex where a run names none; unset: the agent's own choice.")
    reasoning_efforts: dict[str, dict[str, tuple[str, ...]]] | None = Field(
        None, description='The efforts that may be asked for, as JSON: {"agent": {"model": ["low", ...]}}; "*" stands for other models.'
    )

    messenger: Literal["slack", "memory"] = Field(
        "slack", description="Where messages of runs are posted; memory: nowhere, they are only noted as sent."
    )
    slack_bot_token: SlackToken | None = Field(
        None, description="The bot token (xoxb-...) of projects that were not connected with one of their own."
    )
    slack_api_url: Address = Field("https://slack.com/api", description="Where Slack's Web API is.")
    slack_timeout_seconds: Seconds = Field(15, description="How long one call to Slack may take.")
    slack_attempts: int = Field(20, ge=1, le=1000, description="How often posting one message to Slack is tried.")
    slack_waiting: int = Field(1000, ge=1, le=1_000_000, description="How many messages of one run may wait to be posted to Slack.")
    slack_days: float = Field(30, ge=0, le=36_500, description="How many days it is known what was posted to Slack; 0: for ever.")

    keepalive_seconds: Seconds = Field(20, description="How often a quiet stream sends a keepalive.")
    command_timeout_seconds: Seconds = Field(600, description="How long a forwarded command may take.")
    stream_wait_seconds: Seconds = Field(120, description="How long a stream waits for a run's first event where there is none.")
    stream_limit_seconds: Seconds = Field(3600, description="After how long a stream ends, so that its client connects again.")
    drain_seconds: Seconds = Field(10, description="How long a stream waits for the last entries of a run that has ended.")
    reader_stall_seconds: Seconds = Field(30, description="How long a client may leave an answer unread before its connection is cut.")
    sender_stall_seconds: Seconds = Field(
        30, description="How long a client may take for its request's head, and for each 64 KiB of its body, before it is cut off."
    )
    throttle_per_minute: int = Field(
        0, ge=0, description="How often a project may be called with personal keys in a minute; 0: as often as wanted."
    )
    throttle_per_hour: int = Field(
        0, ge=0, description="How often a project may be called with personal keys in an hour; 0: as often as wanted."
    )
    log_url_seconds: int = Field(3600, gt=0, description="How long a signed log_url is valid.")

    artifact_bytes: int = Field(31_457_280, gt=0, le=2**40, description="How many bytes one artifact may have.")
    artifact_pdf_bytes: int = Field(10_485_760, gt=0, le=2**40, description="How many bytes a PDF that a person attaches may have.")
    artifact_root: str = Field(
        "tasks", pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$", description="The folder of the object store that artifacts lie in."
    )
    artifact_days: float = Field(30, ge=0, le=36_500, description="How many days the files of a run's artifacts are kept; 0: for ever.")
    staged_artifact_hours: float = Field(24, gt=0, le=876_000, description="How long an artifact that was staged for a run waits for it.")
    artifact_form_seconds: int = Field(3600, gt=0, le=604_800, description="How long an upload form is valid.")
    artifact_url_seconds: int = Field(3600, gt=0, le=604_800, description="How long a signed address of an artifact is valid.")
    inline_uploads_at_once: int = Field(4, ge=1, le=1000, description="How many artifacts above 1 MB are taken inline at the same moment.")
    inline_upload_seconds: Seconds = Field(120, description="How long the body of an artifact that is sent inline may take to arrive.")
    journal_days: float = Field(
        0, ge=0, le=36_500, description="How many days after its end the journal of a run is kept; then one entry says so. 0: for ever."
    )
    archive_days: float = Field(
        0, ge=0, le=36_500, description="How many days after its end the journal of a run moves to the object store; 0: never."
    )
    kept_workspace_days: float = Field(
        30, ge=0, le=36_500, description="How many days a workspace is kept whose work could not be collected; 0: for ever."
    )
    mirror_days: float = Field(90, ge=0, le=36_500, description="After how many days without use a mirror of a repository goes; 0: never.")
    runtime_days: float = Field(
        7, ge=0, le=36_500, description="After how many days without use the runtime, or an agent, of another version goes; 0: never."
    )
    gc_hours: float = Field(6, ge=0, le=8760, description="How often a worker removes what `hedgerow gc --dry-run` lists; 0: never.")
    disk_free_bytes: int = Field(
        2**30, ge=0, description="With fewer free bytes on the disk of its data directory a worker takes no new run; 0: without a limit."
    )
    disk_free_percent: float = Field(
        0, ge=0, le=99, description="With a smaller part of that disk free a worker takes no new run; 0: without a limit."
    )
    readiness_cache_seconds: Seconds = Field(600, description="How long an answer about a repository's readiness is given again.")
    readiness_wait_seconds: Seconds = Field(5, description="How long a request about readiness waits for the scan of the repository.")
    readiness_fetch_seconds: Seconds = Field(
        60, description="How old a scan may be and still serve a request with refresh; also how soon one that failed is tried again."
    )
    scan_seconds: Seconds = Field(30, description="How long the scan of a repository may take, without the fetch before it.")
    scan_file_bytes: int = Field(4 * 2**20, gt=0, description="Larger source files are left out of scans.")
    scan_concurrency: int = Field(2, ge=1, le=100, description="How many repositories one worker fetches and scans at the same moment.")

    @model_validator(mode="after")
    def _shared_by_all(self) -> Self:
        """Several machines on one database must agree on objects and keys, so neither may lie in one machine's data directory."""
        for name in ("storage_url", "secret_key"):
            if self.database_url is not None and getattr(self, name) is None:
                raise ValueError(f"{variable(name)} must be set too where {variable('database_url')} is.")
        return self

    @model_validator(mode="after")
    def _whole_app(self) -> Self:
        """An App is known by its id and proves itself with its key."""
        if (self.github_app_id is None) != (self.github_app_private_key is None):
            raise ValueError(f"{variable('github_app_id')} and {variable('github_app_private_key')} belong together.")
        return self

    @property
    def github_place(self) -> str:
        """Where git finds GitHub's repositories, as a clone URL begins that leads there."""
        if self.github_url is None:
            parts = urlsplit(self.github_api_url)
            return f"{parts.scheme}://{parts.netloc.lower().removeprefix('api.')}"
        parts = urlsplit(self.github_url)
        return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}"

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine reaches the API."""
        return self.host in _LOOPBACK

    @property
    def local_url(self) -> str:
        """How this machine reaches the API."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - an address that is compared with
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def reasoning(self) -> ReasoningEfforts:
        """The table of reasoning efforts."""
        return ReasoningEfforts() if self.reasoning_efforts is None else ReasoningEfforts(self.reasoning_efforts)


@dataclass(frozen=True, slots=True)
class Described:
    """One setting as `hedgerow settings` shows it."""

    name: str
    value: str
    changed: bool
    sentence: str


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{field.upper()}"


def load_settings(**given: Any) -> Settings:
    """The settings out of the environment; what is `given` (and not None) stands above it.

    Raises InvalidError in one sentence that names the variable.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as problem:
        raise InvalidError(_sentence(problem)) from None


def describe(settings: Settings) -> Iterator[Described]:
    """Every setting with its value; secrets are hidden."""
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        yield Described(variable(name), _shown(value), name in settings.model_fields_set, field.description or "")


def _shown(value: object) -> str:
    if value is None or value == ():
        return ""
    if isinstance(value, SecretStr):
        return "(hidden)"
    if isinstance(value, tuple):
        return ",".join(_shown(part) for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sentence(problem: ValidationError) -> str:
    error = problem.errors(include_url=False, include_context=False)[0]
    message = error["msg"].removeprefix("Value error, ").removesuffix(".")
    if not error["loc"]:
        return f"{message}."
    return f"{variable(str(error['loc'][0]))} is not right: {message[:1].lower()}{message[1:]}."
