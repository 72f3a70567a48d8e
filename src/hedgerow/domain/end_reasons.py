"""What each end reason of a run means to people: what happened, whose affair it is, and what helps."""

import re
from dataclasses import dataclass
from enum import StrEnum

from hedgerow.domain.runs import EndReason


class EndCategory(StrEnum):
    """Whose affair an end is."""

    DONE = "done"  # as it was meant to end
    PERSON = "person"  # somebody wanted it
    LIMIT = "limit"  # a bound that the operator has set
    AGENT = "agent"  # the agent, or the model behind it
    MACHINE = "machine"  # the sandbox, or the machine below it
    SETUP = "setup"  # something that the run needs was not there


@dataclass(frozen=True, slots=True, kw_only=True)
class EndExplanation:
    """An end reason in plain words. `retryable`: the same run, tried again as it is, may well end otherwise."""

    category: EndCategory
    title: str
    remedy: str  # "" where there is nothing to mend
    retryable: bool


EXPLANATIONS: dict[EndReason, EndExplanation] = {
    EndReason.FINISHED: EndExplanation(
        category=EndCategory.DONE,
        title="The agent finished its turn, and nothing more was asked.",
        remedy="",
        retryable=False,
    ),
    EndReason.OUTPUT_ACCEPTED: EndExplanation(
        category=EndCategory.DONE,
        title="The agent delivered the output that the task asks for.",
        remedy="",
        retryable=False,
    ),
    EndReason.CANCELLED: EndExplanation(
        category=EndCategory.PERSON,
        title="The agent was asked to stop, and did.",
        remedy="What it had done is on its branch. Run the task again to have it go on.",
        retryable=True,
    ),
    EndReason.CLIENT: EndExplanation(
        category=EndCategory.PERSON,
        title="It was ended by hand.",
        remedy="Run the task again to have it go on.",
        retryable=True,
    ),
    EndReason.INACTIVITY: EndExplanation(
        category=EndCategory.LIMIT,
        title="No message came for a long time, so the run was closed. Its work is kept.",
        remedy="Resume it with a message. HEDGEROW_INACTIVITY_TIMEOUT_MINUTES says how long a run waits.",
        retryable=True,
    ),
    EndReason.WALL_CLOCK: EndExplanation(
        category=EndCategory.LIMIT,
        title="The run took longer than a run may.",
        remedy="Ask for less at a time, or raise HEDGEROW_WALL_CLOCK_MINUTES, or HEDGEROW_SANDBOX_MINUTES for its sandbox."
        " What it had done is on its branch.",
        retryable=False,
    ),
    EndReason.BUDGET: EndExplanation(
        category=EndCategory.LIMIT,
        title="The run cost more than it may.",
        remedy="Ask for less at a time, or raise the budget. What it had done is on its branch.",
        retryable=False,
    ),
    EndReason.AGENT_FAILED: EndExplanation(
        category=EndCategory.AGENT,
        title="The agent gave up with an error.",
        remedy="The error says why: often a key or a credit of the model's provider, or a model that is overloaded.",
        retryable=True,
    ),
    EndReason.AGENT_LOST: EndExplanation(
        category=EndCategory.AGENT,
        title="The agent's process died, or stopped answering.",
        remedy="Run the task again. If it happens twice, look at the end of the log: memory is the usual cause.",
        retryable=True,
    ),
    EndReason.SANDBOX_FAILED: EndExplanation(
        category=EndCategory.MACHINE,
        title="The sandbox could not be made.",
        remedy="The message says what is missing on the machine: most often bubblewrap, user namespaces, or space on the disk.",
        retryable=False,
    ),
    EndReason.SANDBOX_LOST: EndExplanation(
        category=EndCategory.MACHINE,
        title="The sandbox died while the agent was working.",
        remedy="Run the task again. What was in the workspace is on the run's branch, if there was anything.",
        retryable=True,
    ),
    EndReason.START_FAILED: EndExplanation(
        category=EndCategory.SETUP,
        title="Something that the run needs before the agent can start was not there.",
        remedy="The message names it: a repository or branch out of reach, an agent that is not installed, a missing key.",
        retryable=False,
    ),
}
"""One for every end reason there is."""


_THE_AGENTS = frozenset({EndReason.AGENT_FAILED, EndReason.AGENT_LOST, EndReason.START_FAILED})


def given_by_agent(reason: object) -> EndReason:
    """The end reason that an agent server gives for a failure; one that is not for it to give counts as agent_failed."""
    return next((known for known in _THE_AGENTS if known == reason), EndReason.AGENT_FAILED)


LONGEST_WORDS = 4000
"""Characters of what an agent says of its failure that are told with it; whatever it said stands whole in the journal."""
_CUT = " …"
_UNSAYABLE = re.compile("[\x00\ud800-\udfff]")


def plain_words(said: str) -> str:
    """What an agent says of its failure, as every part of hedgerow takes and keeps it. What is too long loses its end.

    `said` holds no secret any more: half of one, at the end, nobody would know again.
    """
    words = _UNSAYABLE.sub("\N{REPLACEMENT CHARACTER}", said).strip()
    return words if len(words) <= LONGEST_WORDS else words[: LONGEST_WORDS - len(_CUT)] + _CUT
