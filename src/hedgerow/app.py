"""Builds the house: everything that the API, a worker and the operator's commands stand on, and takes it down again.

The only module that sees all rooms and the settings.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import structlog
from starlette.types import ASGIApp

from hedgerow.db.database import Database
from hedgerow.db.embedded import EmbeddedPostgres
from hedgerow.db.jobs import Jobs
from hedgerow.db.migrate import migrate
from hedgerow.db.notify import Hub
from hedgerow.domain.artifacts import ArtifactRules
from hedgerow.domain.checkpoints import CheckpointRules
from hedgerow.domain.clock import SystemClock
from hedgerow.domain.deadlines import Deadlines
from hedgerow.domain.errors import HedgerowError, UnavailableError
from hedgerow.domain.housekeeping import Retention
from hedgerow.domain.masking import Mask
from hedgerow.domain.queue import RunLimits
from hedgerow.domain.sandboxes import HostPort
from hedgerow.integrations import MESSENGERS
from hedgerow.integrations.base import Messenger, MessengerOptions
from hedgerow.integrations.github import GitHubApp, GitHubOptions
from hedgerow.local_files import make_data_dir, node_id, secret_key, update_credentials, write_credentials
from hedgerow.operations import accounts
from hedgerow.operations.accounts import FirstKey
from hedgerow.operations.backends import Backends, Rules
from hedgerow.settings import Settings
from hedgerow.storage import open_store

if TYPE_CHECKING:
    from hedgerow.agents.options import AgentOptions
    from hedgerow.agents.provision import RuntimeTrees
    from hedgerow.gate import Gate
    from hedgerow.lifecycle import Node, NodeLease

log = structlog.get_logger()

_LOOK_SECONDS = 1.0
_TRY_AGAIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Everything that is open while hedgerow runs."""

    settings: Settings
    url: str  # where the API of this machine is reached from this machine
    backends: Backends = field(repr=False)
    first_key: FirstKey | None = None  # set where the database was empty

    def note_address(self) -> None:
        """Tell the user commands of this machine where the API listens now."""
        update_credentials(self.settings.data_dir, url=self.url)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[str]:
    """The URL of a migrated database: the one that the settings name, or the embedded one, started or joined."""
    async with AsyncExitStack() as stack:
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
        else:
            embedded = EmbeddedPostgres(settings.data_dir)
            stack.push_async_callback(asyncio.to_thread, embedded.leave)
            url = await asyncio.to_thread(embedded.start_or_join)
            stack.push_async_callback(_end, asyncio.create_task(_keep_alive(embedded)))
        if await asyncio.to_thread(migrate, url):
            log.info("the database was migrated")
        yield url


async def _keep_alive(embedded: EmbeddedPostgres) -> None:
    """Bring the embedded server back where somebody, or a lack of memory, has killed it."""
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            if await asyncio.to_thread(embedded.revive):
                log.warning("the database server had died and was started again")
        except HedgerowError as problem:
            log.error("the database server died and does not start", reason=problem.message)
            await asyncio.sleep(_TRY_AGAIN_SECONDS)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


@asynccontextmanager
async def open_house(
    settings: Settings, *, url: str | None = None, allow_local_repositories: bool = False, may_begin: bool = True
) -> AsyncIterator[House]:
    """Open everything. `url` is where the API listens; `allow_local_repositories` holds where the settings leave it open.

    On an empty database it makes the first person, project and key, and writes credentials.json, unless `may_begin` is false: a worker
    that happens to come first leaves that to the machine whose API those credentials are for. Raises UnavailableError.
    """
    make_data_dir(settings.data_dir)
    address = url or settings.local_url
    async with AsyncExitStack() as stack:
        database_url = await stack.enter_async_context(open_database(settings))
        database = Database(database_url, pool_size=settings.database_pool_size)
        await database.open()
        stack.push_async_callback(database.close)
        hub = Hub(database)
        await hub.start()
        stack.push_async_callback(hub.stop)
        jobs = Jobs(database_url)
        await jobs.open()
        stack.push_async_callback(jobs.close)
        certificates = httpx.create_ssl_context()
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, follow_redirects=False, verify=certificates))
        outside = await stack.enter_async_context(httpx.AsyncClient(follow_redirects=False, verify=certificates))
        rules = _rules(settings, address, allow_local_repositories)
        storage = await open_store(settings.storage_url or (settings.data_dir / "objects").as_uri(), rules.secrets)
        stack.push_async_callback(storage.close)
        backends = Backends(
            database=database,
            hub=hub,
            jobs=jobs,
            clock=SystemClock(),
            rules=rules,
            storage=storage,
            http=http,
            outside=outside,
            messenger=_messenger(settings),
        )
        first_key = await _bootstrap(settings, address, backends) if may_begin else None
        yield House(settings=settings, url=address, backends=backends, first_key=first_key)


def build_api(house: House) -> ASGIApp:
    """The API of the house."""
    from hedgerow.api import create_api

    return create_api(house.backends)


async def hold_runs(house: House, stop: asyncio.Event, serving: Callable[[bool], None]) -> None:
    """Be a worker until `stop` is set. Calls `serving` with True once it holds the runs of this machine, with False while it waits.

    Raises UnavailableError where the gate cannot listen, or the operator's address of a model is none.
    """
    from hedgerow.agents.options import AgentOptions
    from hedgerow.agents.provision import RuntimeTrees
    from hedgerow.gate import Gate
    from hedgerow.lifecycle import NodeLease
    from hedgerow.worker import Rhythm, work

    settings = house.settings
    operator = AgentOptions(environment=os.environ)
    lease = NodeLease(settings.node_lease_seconds)
    gate = Gate(
        control_plane_url=settings.control_plane_url or house.url,
        trusted_hosts=_model_hosts(operator),
        lease_seconds_left=lambda: lease.seconds_left,
    )
    port = await gate.serve(settings.worker_host, settings.worker_port)
    trees = RuntimeTrees(settings.data_dir, operator)
    early = asyncio.create_task(_lay_out(trees))
    try:
        rhythm = Rhythm(
            watch_seconds=settings.sandbox_probe_seconds,
            probe_seconds=settings.agent_probe_seconds,
            agent_server_silence_seconds=settings.agent_server_silence_seconds,
            concurrency=settings.worker_concurrency,
            scan_concurrency=settings.scan_concurrency,
            gc_seconds=settings.gc_hours * 3600,
        )
        worker_url = settings.worker_url or f"http://{settings.worker_host}:{port}"
        await work(_node(house, gate, lease, worker_url, operator, trees), rhythm, stop, serving)
    finally:
        early.cancel()
        await gate.stop()


def housekeeper(house: House) -> "Node":
    """This machine as a place to keep house in. No sandbox is reached from it."""
    from hedgerow.agents.options import AgentOptions
    from hedgerow.agents.provision import RuntimeTrees
    from hedgerow.gate import Gate
    from hedgerow.lifecycle import NodeLease

    operator = AgentOptions(environment=os.environ)
    gate = Gate(control_plane_url=house.url, trusted_hosts=frozenset())
    return _node(house, gate, NodeLease(), house.url, operator, RuntimeTrees(house.settings.data_dir, operator))


def _node(house: House, gate: "Gate", lease: "NodeLease", worker_url: str, operator: "AgentOptions", trees: "RuntimeTrees") -> "Node":
    from hedgerow.agents import runtimes
    from hedgerow.agents.options import without_secrets
    from hedgerow.lifecycle import Node
    from hedgerow.repositories import Repositories, ScanLimits
    from hedgerow.sandboxes import SandboxOptions, providers

    settings = house.settings
    return Node(
        id=node_id(settings.data_dir),
        backends=house.backends,
        data_dir=settings.data_dir,
        worker_url=lambda: worker_url,
        gate=gate,
        sandboxes=providers(SandboxOptions(account=(settings.sandbox_uid, settings.sandbox_uid))),
        sandbox_choice=settings.sandbox,
        agents=runtimes(operator),
        default_models={
            name: model for name, model in (("claude", settings.claude_model), ("codex", settings.codex_model)) if model is not None
        },
        runtime_tree=trees,
        repositories=Repositories(
            settings.data_dir / "mirrors",
            allow_local=house.backends.rules.allow_local_repositories,
            environment=without_secrets(operator.environment),
        ),
        egress=frozenset(settings.egress_allow),
        deadlines=_deadlines(settings),
        least_free_bytes=settings.disk_free_bytes,
        least_free_percent=settings.disk_free_percent,
        retention=_retention(settings),
        lease=lease,
        limits=RunLimits(per_project=settings.max_runs_per_project, total=settings.max_runs),
        scan_limits=ScanLimits(seconds=settings.scan_seconds, file_bytes=settings.scan_file_bytes),
    )


async def _lay_out(trees: "RuntimeTrees") -> None:
    """Make the runtime tree before a run waits for it. Where that fails, the first run says why."""
    try:
        await trees.tree()
    except HedgerowError as problem:
        log.warning("sandboxes cannot be started yet", reason=problem.message)


def _model_hosts(operator: "AgentOptions") -> frozenset[HostPort]:
    """Where the operator's own model addresses lead."""
    from hedgerow.agents.options import model_address

    addresses = {name: operator.value(name) for name in ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL")}
    return frozenset(model_address(address, name) for name, address in addresses.items() if address)


def _agents_keys() -> list[str]:
    """The values that must never reach a journal, though an agent knows them."""
    from hedgerow.agents import claude, codex

    return [os.environ.get(name, "").strip() for name in (*claude.KEYS, *codex.KEYS)]


def _deadlines(settings: Settings) -> Deadlines:
    return Deadlines(
        inactivity=timedelta(minutes=settings.inactivity_timeout_minutes),
        wall_clock=timedelta(minutes=settings.wall_clock_minutes),
        look_again=timedelta(seconds=settings.look_again_seconds),
        checkpoint=timedelta(minutes=settings.checkpoint_minutes),
        sandbox=_or_none(settings.sandbox_minutes),
        turn_silence=_or_none(settings.turn_silence_minutes),
        landing=timedelta(seconds=settings.landing_seconds),
        stopping=timedelta(seconds=settings.stopping_seconds),
        prepare_attempts=settings.prepare_attempts,
        first_pause=timedelta(seconds=settings.prepare_pause_seconds),
    )


def _retention(settings: Settings) -> Retention:
    return Retention(
        journal_days=settings.journal_days,
        archive_days=settings.archive_days,
        workspace_days=settings.kept_workspace_days,
        mirror_days=settings.mirror_days,
        runtime_days=settings.runtime_days,
    )


def _or_none(minutes: float) -> timedelta | None:
    return timedelta(minutes=minutes) if minutes else None


def _messenger(settings: Settings) -> Messenger:
    options = MessengerOptions(slack_api_url=settings.slack_api_url, timeout_seconds=settings.slack_timeout_seconds)
    return MESSENGERS[settings.messenger](options)


def _rules(settings: Settings, address: str, allow_local_repositories: bool) -> Rules:
    local = settings.allow_local_repositories
    key = secret_key(settings.data_dir) if settings.secret_key is None else settings.secret_key.get_secret_value()
    old = (earlier.get_secret_value() for earlier in settings.secret_keys_old)
    slack_token = None if settings.slack_bot_token is None else settings.slack_bot_token.get_secret_value()
    return Rules(
        secrets=tuple(text.encode() for text in (key, *old)),
        public_url=settings.public_url or address,
        trusted_proxies=settings.trusted_proxies,
        git_base_url=settings.git_base_url,
        allow_local_repositories=allow_local_repositories if local is None else local,
        sandbox_url_allowlist=settings.sandbox_url_allowlist,
        reasoning=settings.reasoning,
        mask=Mask([*_agents_keys(), *([] if slack_token is None else [slack_token])]),
        command_timeout_seconds=settings.command_timeout_seconds,
        stream_wait_seconds=settings.stream_wait_seconds,
        stream_limit_seconds=settings.stream_limit_seconds,
        keepalive_seconds=settings.keepalive_seconds,
        drain_seconds=settings.drain_seconds,
        log_url_seconds=settings.log_url_seconds,
        reader_stall_seconds=settings.reader_stall_seconds,
        sender_stall_seconds=settings.sender_stall_seconds,
        artifacts=_artifact_rules(settings),
        checkpoints=_checkpoint_rules(settings),
        most_calls={60: settings.throttle_per_minute, 3600: settings.throttle_per_hour},
        background_permissions=settings.background_permissions,
        permission_timeout_seconds=settings.permission_timeout_minutes * 60,
        readiness_cache_seconds=settings.readiness_cache_seconds,
        readiness_wait_seconds=settings.readiness_wait_seconds,
        readiness_fetch_seconds=settings.readiness_fetch_seconds,
        slack_bot_token=slack_token,
        slack_timeout_seconds=settings.slack_timeout_seconds,
        slack_attempts=settings.slack_attempts,
        slack_waiting=settings.slack_waiting,
        slack_days=settings.slack_days,
        github=_github(settings),
        feature_flags=settings.feature_flags,
    )


def _checkpoint_rules(settings: Settings) -> CheckpointRules:
    return CheckpointRules(kept=settings.checkpoints_kept, largest_bytes=settings.checkpoint_bytes, seconds=settings.checkpoint_seconds)


def _artifact_rules(settings: Settings) -> ArtifactRules:
    return ArtifactRules(
        largest_bytes=settings.artifact_bytes,
        largest_pdf_bytes=settings.artifact_pdf_bytes,
        root=settings.artifact_root,
        form_seconds=settings.artifact_form_seconds,
        url_seconds=settings.artifact_url_seconds,
        staged_hours=settings.staged_artifact_hours,
        kept_days=settings.artifact_days,
        inline_at_once=settings.inline_uploads_at_once,
        inline_seconds=settings.inline_upload_seconds,
    )


def _github(settings: Settings) -> GitHubOptions:
    key = None if settings.github_app_private_key is None else settings.github_app_private_key.get_secret_value()
    return GitHubOptions(
        api_url=settings.github_api_url,
        url=settings.github_place,
        app=None if settings.github_app_id is None or key is None else GitHubApp(id=settings.github_app_id, private_key=_pem(key)),
        timeout_seconds=settings.github_timeout_seconds,
        list_limit=settings.github_list_limit,
        list_age_seconds=settings.github_list_age_seconds,
    )


def _pem(key: str) -> str:
    """A private key, or what the file of that name holds. Raises UnavailableError."""
    if key.lstrip().startswith("-----BEGIN"):
        return key.replace("\\n", "\n")  # where a line could not hold line breaks
    try:
        return Path(key).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UnavailableError("The file that HEDGEROW_GITHUB_APP_PRIVATE_KEY names cannot be read.") from error


async def _bootstrap(settings: Settings, address: str, backends: Backends) -> FirstKey | None:
    first = await accounts.bootstrap(backends)
    if first is not None:
        path: Path = write_credentials(settings.data_dir, url=address, project_id=first.project.id, api_key=first.value)
        log.info("made the first user, project and key", user=first.user.email, credentials=str(path))
    return first
