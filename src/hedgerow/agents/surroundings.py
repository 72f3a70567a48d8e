"""What every agent's process finds around it: a home of its own, the programs, and no prompts."""

from hedgerow.agents.base import LaunchRequest
from hedgerow.agents.options import AgentOptions

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def surroundings(options: AgentOptions, request: LaunchRequest) -> dict[str, str]:
    """The variables that do not depend on the agent. Outside an isolated sandbox the operator's own programs are found too."""
    path = None if request.isolated else options.value("PATH")
    return {
        "HOME": str(request.home),
        "PATH": path or _SYSTEM_PATH,
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "GIT_TERMINAL_PROMPT": "0",
    }
