"""A preparation step as its reader sees it: an entry when it begins, and one when it is over, with its duration."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hedgerow.domain.errors import HedgerowError
from hedgerow.domain.journal import EventKind, NewEvent, event_type
from hedgerow.domain.progress import Progress, Step, StepStatus, progress_entry
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle.facts import append
from hedgerow.lifecycle.node import Node


class StepNote:
    """What a step says of itself once it is over."""

    detail: str | None = None


async def note_progress(node: Node, run: TaskRun, progress: Progress) -> None:
    """Write one change of a step into the run's journal."""
    now = node.backends.clock.now()
    entry = progress_entry(progress, now)
    event = NewEvent(EventKind.ENTRY, event_type(entry), now, json.dumps(entry, separators=(",", ":")))
    async with node.backends.database.transaction() as tx:
        await append(tx, node, run, event)


@asynccontextmanager
async def step(node: Node, run: TaskRun, name: Step) -> AsyncIterator[StepNote]:
    """Note that a step begins, and how it ended: completed, or failed with the error's sentence. The error goes on."""
    began = time.monotonic()
    note = StepNote()
    await note_progress(node, run, Progress(name, StepStatus.IN_PROGRESS))
    try:
        yield note
    except HedgerowError as error:
        await note_progress(node, run, Progress(name, StepStatus.FAILED, error.message, time.monotonic() - began))
        raise
    await note_progress(node, run, Progress(name, StepStatus.COMPLETED, note.detail, time.monotonic() - began))
