"""Codex through codex-acp: its configuration, the operator's key or login, and who confines it."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hedgerow.agents.base import AgentLaunch, LaunchRequest
from hedgerow.agents.options import AgentOptions, certificates, is_loopback, model_address
from hedgerow.agents.pins import PACKAGES
from hedgerow.agents.surroundings import surroundings
from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.reasoning import PROVIDERS
from hedgerow.domain.sandboxes import HostPort

KEYS = ("CODEX_API_KEY", "OPENAI_API_KEY")

_KEY_INSIDE = "OPENAI_API_KEY"
_PROVIDER_URL = "https://api.openai.com/v1"
_LOGIN_HOSTS = frozenset({HostPort("chatgpt.com", 443), HostPort("auth.openai.com", 443), HostPort("api.openai.com", 443)})
_FOLDER = ".codex"
_TEMPORARY = "tmp/.keep"
_FULL_ACCESS, _READ_ONLY = "full-access", "read-only"

# Commands get the project's own variables, but not the operator's key; a snapshot of the shell would give it back to them.
_SETTINGS = """\
check_for_update_on_startup = false
cli_auth_credentials_store = "file"
{choices}
[analytics]
enabled = false

[feedback]
enabled = false

[features]
shell_snapshot = false
use_legacy_landlock = {nested}

[shell_environment_policy]
inherit = "all"
ignore_default_excludes = true
exclude = ["OPENAI_API_KEY", "CODEX_API_KEY"]
"""

_PROVIDER_SETTINGS = """
[model_providers.operator]
name = "operator"
base_url = {url}
wire_api = "responses"
env_key = "{key}"
"""


@dataclass(frozen=True, slots=True)
class _Login:
    """How Codex proves who pays: an API key, or the text of an auth.json."""

    key: str | None = field(repr=False, default=None)
    auth: str | None = field(repr=False, default=None)


class CodexRuntime:
    """Starts codex-acp, which holds Codex itself."""

    name = "codex"
    provider: str | None = PROVIDERS["codex"]

    def __init__(self, options: AgentOptions) -> None:
        self._options = options
        self._package = PACKAGES[self.name]

    @property
    def has_key(self) -> bool:
        """Whether a key is set or an auth.json can be read."""
        try:
            return self._login() is not None
        except UnavailableError:
            return False

    def installed(self, runtime_tree: Path) -> bool:
        """Whether the pinned version stands beside the tree."""
        return self._package.installed(runtime_tree)

    def launch(self, runtime_tree: Path, request: LaunchRequest) -> AgentLaunch:
        """How to start it. Raises UnavailableError where it is not installed, has no key, or has an unusable base URL."""
        folder = self._package.require(runtime_tree)
        login = self._login()
        if login is None:
            raise UnavailableError(f"Codex has no key: set {KEYS[1]} where hedgerow runs, or log in there with `codex login`.")
        url = self._options.value("OPENAI_BASE_URL")
        hosts = _hosts(login, url)
        own_certificates = certificates(self._options, "SSL_CERT_FILE", home=request.home, isolated=request.isolated)
        environment = surroundings(self._options, request) | dict(own_certificates.environment)
        return AgentLaunch(
            command=(str(folder / _program()),),
            environment=environment | _places(request) | ({_KEY_INSIDE: login.key} if login.key else {}),
            reserved=("OPENAI_", "CODEX_"),
            mode=_mode(request),
            hosts=hosts,
            relays=tuple(sorted(host for host in hosts if request.isolated and is_loopback(host))),
            files={_TEMPORARY: ""} | _files(login, url, request) | dict(own_certificates.files),
        )

    def _login(self) -> _Login | None:
        """The key of the environment, else what `codex login` left in the operator's Codex folder."""
        given = next((key for name in KEYS if (key := self._options.value(name)) is not None), None)
        if given is not None:
            return _Login(key=given)
        home = self._options.value("CODEX_HOME") or f"{self._options.value('HOME') or ''}/{_FOLDER}"
        text = self._options.text_of_file(Path(home) / "auth.json")
        return None if text is None else _read_login(text)


def _read_login(text: str) -> _Login | None:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise UnavailableError("The auth.json of Codex is not readable as JSON; log in again with `codex login`.") from error
    if not isinstance(content, dict):
        return None
    if content.get("tokens"):
        return _Login(auth=text)
    key = content.get(_KEY_INSIDE)
    return _Login(key=key) if isinstance(key, str) and key else None


def _places(request: LaunchRequest) -> dict[str, str]:
    """Codex's own sandbox works only where CODEX_HOME lies outside the folder for temporary files."""
    folders = {"CODEX_HOME": str(request.home / _FOLDER)}
    return folders if _mode(request) == _FULL_ACCESS else folders | {"TMPDIR": str((request.home / _TEMPORARY).parent)}


def _hosts(login: _Login, url: str | None) -> frozenset[HostPort]:
    if login.key is None:
        return _LOGIN_HOSTS
    return frozenset({model_address(url or _PROVIDER_URL, "OPENAI_BASE_URL")})


def _files(login: _Login, url: str | None, request: LaunchRequest) -> dict[str, str]:
    choices: Mapping[str, str | None] = {
        "model": request.model,
        "model_reasoning_effort": request.reasoning_effort,
        "model_provider": "operator" if login.key else None,
    }
    chosen = "".join(f"{name} = {_toml(value)}\n" for name, value in choices.items() if value is not None)
    settings = _SETTINGS.format(choices=chosen, nested="true" if request.isolated else "false")
    if login.key is not None:
        settings += _PROVIDER_SETTINGS.format(url=_toml(url or _PROVIDER_URL), key=_KEY_INSIDE)
    return {f"{_FOLDER}/config.toml": settings} | ({f"{_FOLDER}/auth.json": login.auth} if login.auth else {})


def _mode(request: LaunchRequest) -> str:
    """Inside an isolated sandbox what Codex may write ends where the sandbox ends, so that it needs none of its own.

    Only to read is less than the sandbox allows. Codex then holds its commands to it with Landlock, which also works inside.
    """
    return _FULL_ACCESS if request.isolated and request.permission_mode != _READ_ONLY else request.permission_mode


def _toml(text: str) -> str:
    """A basic string of TOML 1.0: JSON's escapes are among its own."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _program() -> Path:
    """The program of this machine's kind. The package has a starter for Node too, which would cost its start for nothing."""
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine().lower())
    system = platform.system().lower()
    return Path(f"node_modules/@zed-industries/codex-acp-{system}-{machine}/bin/codex-acp")
