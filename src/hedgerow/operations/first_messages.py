"""What the agent of a run hears first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hedgerow.db import messages
from hedgerow.db.database import Transaction
from hedgerow.domain.ids import uuid7
from hedgerow.domain.messages import Message, MessageStatus, places
from hedgerow.domain.runs import TaskRun
from hedgerow.domain.tasks import Task
from hedgerow.operations import inbox
from hedgerow.operations.backends import Backends

_AFTER_LOSS = (
    "The machine that this task was being worked on is gone, and you go on in its place, without its session. The files are as of the last"
    " checkpoint, so that the latest changes may be missing. This had been asked for last.\n\n{}"
)
_CONTINUATION = "Go on with this task. Work was done on it before, in a session that you do not remember.\n\n{}"


def first_words(task: Task, run: TaskRun) -> str:
    """What was asked for most directly: the run's own first message, else the task's description, else its title."""
    asked = run.state.get("pending_user_message")
    return (asked.strip() if isinstance(asked, str) else "") or task.description.strip() or task.title


def continuing_words(task: Task) -> str:
    """What the agent of a run hears that goes on after others have worked on its task."""
    words = task.description.strip() or task.title
    return _CONTINUATION.format(words) if words else ""


async def ask_again(backends: Backends, tx: Transaction, run: TaskRun, message: Message, now: datetime) -> None:
    """Have the next agent of a run, whose row is locked, hear first what the last one was at when its machine was lost."""
    await queue_message(backends, tx, run, _AFTER_LOSS.format(message.content or "").rstrip(), now, message.artifacts)
    waiting = await messages.waiting(tx, run.id)
    await inbox.place(backends, tx, waiting[-1], places(waiting, waiting[-1].id, waiting[0].position))


async def queue_message(
    backends: Backends, tx: Transaction, run: TaskRun, content: str, now: datetime, artifacts: Sequence[dict[str, Any]] = ()
) -> None:
    """Put a message at the end of the inbox of a run, whose row is locked or new; nothing where there is nothing to say."""
    if not content and not artifacts:
        return
    message = Message(
        id=uuid7(int(now.timestamp() * 1000)),
        run_id=run.id,
        position=0,  # given by the database
        content=content or None,
        artifacts=list(artifacts),
        status=MessageStatus.QUEUED,
        created_at=now,
    )
    await inbox.put(backends, tx, message)
