"""A preparation step as its reader sees it: an entry when it begins, and one when it is over, with its duration."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from hedgerow.db.database import DatabaseLostError
from hedgerow.domain.errors import HedgerowError
from hedgerow.domain.progress import Progress, Step, StepStatus, progress_entry
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle.facts import TakenOverError
from hedgerow.lifecycle.node import Node
from hedgerow.operations import run_changes


class StepNote:
    """What a step says of itself once it is over."""

    detail: str | None = None


async def note_progress(node: Node, run: TaskRun, progress: Progress) -> None:
    """Write one change of a step into the run's journal."""
    entry = run_changes.server_entry(progress_entry(progress, node.backends.clock.now()))
    async with node.backends.database.transaction() as tx:
        if await run_changes.add_events(node.backends, tx, run.id, [entry], run.execution.epoch) is None:
            raise TakenOverError


def pause_before_retry(node: Node, run: TaskRun, error: BaseException) -> timedelta | None:
    """How long to wait before what has failed is tried again; None where it is not: it would not help, or was tried often enough."""
    passing = isinstance(error, HedgerowError) and error.passing
    return node.deadlines.pause_before_retry(run.execution.prepare_attempts + 1) if passing else None


def _sentence(node: Node, run: TaskRun, error: HedgerowError) -> str:
    pause = pause_before_retry(node, run, error)
    if pause is None:
        return error.message
    number = f"{run.execution.prepare_attempts + 2} of {node.deadlines.prepare_attempts}"
    return f"{error.message} Trying again in {pause.total_seconds():g} s ({number})."


@asynccontextmanager
async def step(node: Node, run: TaskRun, name: Step) -> AsyncIterator[StepNote]:
    """Note that a step begins, and how it ended: completed, or failed with the error's sentence. The error goes on."""
    began = time.monotonic()
    note = StepNote()
    await note_progress(node, run, Progress(name, StepStatus.IN_PROGRESS))
    try:
        yield note
    except DatabaseLostError:
        raise
    except HedgerowError as error:
        await note_progress(node, run, Progress(name, StepStatus.FAILED, _sentence(node, run, error), time.monotonic() - began))
        raise
    await note_progress(node, run, Progress(name, StepStatus.COMPLETED, note.detail, time.monotonic() - began))
