"""Claude Code through claude-agent-acp: which of the operator's keys it gets, and how it behaves where nobody watches."""

import re
from pathlib import Path

from hedgerow.agents.base import AgentLaunch, GiveUp, LaunchRequest
from hedgerow.agents.options import AgentOptions, certificates, is_loopback, model_address
from hedgerow.agents.pins import PACKAGES
from hedgerow.agents.surroundings import surroundings
from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.reasoning import PROVIDERS
from hedgerow.domain.sandboxes import HostPort

KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")

_PASSED_ON = (
    *KEYS,
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_MODEL",
    "ANTHROPIC_SMALL_FAST_MODEL",
    "API_TIMEOUT_MS",
    "CLAUDE_CODE_MAX_OUTPUT_TOKENS",
    "MAX_THINKING_TOKENS",
)

_QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
    # Six pauses, from half a second doubled up to 16: a provider in trouble is waited for half a minute, not several.
    "CLAUDE_CODE_MAX_RETRIES": "6",
    # Claude Code refuses to bypass permissions as root unless it is told that it runs in a sandbox.
    "IS_SANDBOX": "1",
}

_PROVIDER_HOST = HostPort("api.anthropic.com", 443)
_ADAPTER = Path("node_modules/@agentclientprotocol/claude-agent-acp/dist/index.js")


class ClaudeRuntime:
    """Starts claude-agent-acp, which starts Claude Code."""

    name = "claude"
    provider: str | None = PROVIDERS["claude"]

    def __init__(self, options: AgentOptions) -> None:
        self._options = options
        self._package = PACKAGES[self.name]

    @property
    def has_key(self) -> bool:
        """Whether one of KEYS is set."""
        return bool(self._options.only(KEYS))

    def installed(self, runtime_tree: Path) -> bool:
        """Whether the pinned version stands beside the tree."""
        return self._package.installed(runtime_tree)

    def launch(self, runtime_tree: Path, request: LaunchRequest) -> AgentLaunch:
        """How to start it. Raises UnavailableError where it is not installed, has no key, or has an unusable base URL."""
        folder = self._package.require(runtime_tree)
        if not self.has_key:
            raise UnavailableError(f"Claude Code has no key: set {KEYS[0]}, {KEYS[1]} or {KEYS[2]} where hedgerow runs.")
        base_url = self._options.value("ANTHROPIC_BASE_URL")
        address = _PROVIDER_HOST if base_url is None else model_address(base_url, "ANTHROPIC_BASE_URL")
        own_certificates = certificates(self._options, "NODE_EXTRA_CA_CERTS", home=request.home, isolated=request.isolated)
        environment = surroundings(self._options, request) | _QUIET | self._options.only(_PASSED_ON) | dict(own_certificates.environment)
        if request.model is not None:
            environment["ANTHROPIC_MODEL"] = request.model
        return AgentLaunch(
            command=(str(folder / "bin" / "node"), str(folder / _ADAPTER)),
            environment=environment | _without_keys(folder),
            reserved=("ANTHROPIC_", "CLAUDE_"),
            session_meta={"claudeCode": {"emitRawSDKMessages": [{"type": "system", "subtype": "api_retry"}]}},
            mode=request.permission_mode,
            reasoning_effort=request.reasoning_effort,
            hosts=frozenset({address}),
            relays=(address,) if request.isolated and is_loopback(address) else (),
            files=own_certificates.files,
            gives_up=tuple(self._refusal(status) for status in (401, 403)),
        )

    def _refusal(self, status: int) -> GiveUp:
        """Claude Code tries again with a key that was refused, unless the answer forbids it."""
        message = {"type": "system", "subtype": "api_retry", "error_status": status}
        variable = next(iter(self._options.only(KEYS)))
        sentence = f"The model's provider refused the key ({status}): check {variable} where hedgerow runs."
        return GiveUp({"method": "_claude/sdkMessage", "params": {"message": message}}, sentence)


def shell_without_keys() -> str:
    """The program through which Claude Code starts every command, so that none of them inherits a key."""
    return f'#!/bin/sh\nunset {" ".join((*KEYS, "ANTHROPIC_CUSTOM_HEADERS"))}\nexec /bin/bash -c "$1"\n'


def _without_keys(folder: Path) -> dict[str, str]:
    """Claude Code takes what follows a blank and a dash in this variable for arguments, so such a folder goes without."""
    program = str(folder / "bin" / "without-keys")
    return {} if re.search(r"\s-", program) else {"CLAUDE_CODE_SHELL_PREFIX": program}
