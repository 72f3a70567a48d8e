"""Which kind of sandbox a run gets on this node."""

from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.runs import EndReason
from hedgerow.lifecycle.agent_choice import AgentChoice
from hedgerow.lifecycle.ends import EndsRunError
from hedgerow.lifecycle.node import Node
from hedgerow.sandboxes.base import SandboxProvider

AUTOMATIC = "auto"

_HINT = (
    "To run agents without isolation all the same, start hedgerow with --sandbox process (HEDGEROW_SANDBOX=process);"
    " they can then read whatever its account can."
)


async def choose_sandbox(node: Node, agent: AgentChoice) -> SandboxProvider:
    """The operator's choice; with "auto" bubblewrap, or a bare process for the scripted agent where bubblewrap does not work.

    Raises EndsRunError where that kind does not work here: an agent that obeys a model is never left unconfined by accident.
    """
    wanted = node.sandboxes["bubblewrap" if node.sandbox_choice == AUTOMATIC else node.sandbox_choice]
    try:
        await wanted.check()
    except UnavailableError as error:
        if node.sandbox_choice != AUTOMATIC:
            raise EndsRunError(EndReason.SANDBOX_FAILED, error.message) from error
        if agent.name != "scripted":
            raise EndsRunError(EndReason.SANDBOX_FAILED, f"{error.message} {_HINT}") from error
        return node.sandboxes["process"]
    return wanted
