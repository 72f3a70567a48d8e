"""What of a run waits for its agent, and what its agent waits for: counted, as the lifecycle needs it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """How many messages of a run stand where, and how many permission requests.

    A delivered message that nobody has acknowledged is a running turn.
    """

    queued: int = 0
    delivered: int = 0
    asked: int = 0  # permission requests that wait for an answer
    answers: int = 0  # answers that the agent has not got
    answer_by: datetime | None = None  # the first deadline of those that wait
    heard_at: datetime | None = None  # when the agent server handed something over last

    @property
    def empty(self) -> bool:
        """Whether nothing waits and no turn runs."""
        return not self.queued and not self.delivered

    @property
    def left_to_a_person(self) -> bool:
        """Whether a permission request waits for a person, with no deadline of its own."""
        return self.asked > 0 and self.answer_by is None
