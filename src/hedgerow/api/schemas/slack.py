"""Slack over the wire: messages to relay, and the threads of tasks (contract 5.8)."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from hedgerow.api.schemas.fields import RequestModel, Words, refuse_nul
from hedgerow.domain.relays import LONGEST_RELAY, MappedThread


class RelayMessage(RequestModel):
    """The body of relay_message."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_RELAY), AfterValidator(refuse_nul)] = (
        Field(description="What is posted.")
    )


class RelayAnswer(BaseModel):
    """Whether a message is going to be posted; `relay_id` is there where it is."""

    status: Literal["accepted", "skipped"]
    relay_id: UUID | None = None


class SlackThread(BaseModel):
    """The Slack thread that the runs of a task are told in."""

    url: str
    channel: str
    thread_ts: str


class SlackThreadWrite(RequestModel):
    """The body that maps a task to a thread."""

    url: Words = Field(description="The permalink of a message of the thread, as Slack copies it.")


def slack_thread_detail(mapped: MappedThread) -> dict[str, Any]:
    """A mapped thread as the API shows it."""
    return {"url": mapped.url, "channel": mapped.thread.channel, "thread_ts": mapped.thread.ts}
