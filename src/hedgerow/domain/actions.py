"""What a run may need next. Each action is safe to repeat, and what it achieves is a fact of the run."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from hedgerow.domain.runs import Ending


@dataclass(frozen=True, slots=True)
class Nothing:
    """The run needs nobody any more, or belongs to its client."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done before `until`, unless the row changes first."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """No machine holds the run yet: this one takes it, or gives it its place in line where there are as many runs as may be."""


@dataclass(frozen=True, slots=True)
class LeaveQueue:
    """The run waits no more, though nobody has claimed it: those behind it move up."""


@dataclass(frozen=True, slots=True)
class Hold:
    """No machine holds the run yet, and this one has no room: the run's readers are told."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """Another machine holds the run: its workers are told."""

    node_id: UUID


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make what is missing: the sandbox with its agent server, the checked-out workspace, or both side by side."""

    sandbox: bool
    workspace: bool


@dataclass(frozen=True, slots=True)
class StartSession:
    """Let the agent server start the agent in the workspace."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand the oldest queued message to the agent."""


@dataclass(frozen=True, slots=True)
class GiveAnswer:
    """Hand the agent the oldest answer to a permission request that it has not got."""


@dataclass(frozen=True, slots=True)
class ExpireRequests:
    """Reject the permission requests that nobody has answered in time."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Keep the files as they stand, so that they can be put into another workspace."""


@dataclass(frozen=True, slots=True)
class StopTurn:
    """Ask the agent to stop its turn, since the run ends by `ending` once it has, and `by` then at the latest."""

    ending: Ending
    by: datetime


@dataclass(frozen=True, slots=True)
class Conclude:
    """Write down how the run is going to end, so that whoever looks next lands it."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class StopSandbox:
    """Ask the agent server for its last entries, then end the sandbox and every process in it."""


@dataclass(frozen=True, slots=True)
class Land:
    """Commit and push what the agent changed."""


@dataclass(frozen=True, slots=True)
class End:
    """Set the run's terminal status and reason."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class CleanUp:
    """Remove the workspace and everything else that the run left on its machine."""


@dataclass(frozen=True, slots=True)
class BeginAgain:
    """Remove what an earlier start of the run left on its machine, and forget it, so that the run can be claimed anew."""


Working = Prepare | StartSession | Deliver | GiveAnswer | ExpireRequests | Checkpoint
Queueing = Claim | Hold | LeaveQueue
Action = Nothing | Wait | Queueing | HandOver | Working | StopTurn | Conclude | StopSandbox | Land | End | CleanUp | BeginAgain
