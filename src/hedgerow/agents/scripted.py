"""The scripted agent: it comes with hedgerow, needs no key and no network, and plays the script that stands in its prompt."""

from pathlib import Path

from hedgerow.agents.base import AgentLaunch, LaunchRequest
from hedgerow.agents.options import AgentOptions
from hedgerow.agents.runtime_tree import python_command
from hedgerow.agents.surroundings import surroundings


class ScriptedRuntime:
    """Starts `hedgerow.scripted_agent` with the tree's own Python."""

    name = "scripted"
    provider: str | None = None
    has_key = True

    def __init__(self, options: AgentOptions) -> None:
        self._options = options

    def installed(self, runtime_tree: Path) -> bool:
        """It stands in every tree."""
        return Path(python_command(runtime_tree)[0]).exists()

    def launch(self, runtime_tree: Path, request: LaunchRequest) -> AgentLaunch:
        """How to start it. It has no model to choose."""
        return AgentLaunch(
            command=(*python_command(runtime_tree), "-m", "hedgerow.scripted_agent"),
            environment=surroundings(self._options, request),
            mode=request.permission_mode,
        )
