"""The line of a project: who waits in it knows its place, and the next is told as soon as there is room."""

from dataclasses import replace
from functools import partial
from uuid import UUID

from hedgerow.db import executions, queue, runs
from hedgerow.db.database import Transaction
from hedgerow.domain.queue import POSITION_KEY, RunLimits
from hedgerow.domain.runs import Environment, TaskRun
from hedgerow.operations import run_changes
from hedgerow.operations.backends import Backends


async def has_room(tx: Transaction, run: TaskRun, limits: RunLimits) -> bool:
    """Whether a run that nobody has claimed may be, as things stand. One that was claimed before has kept its place."""
    if not limits.any or run.execution.claimed_at is not None:
        return True
    return run.id in await queue.admissible(tx, run.project_id, limits)


async def take_in(backends: Backends, tx: Transaction, run: TaskRun, limits: RunLimits, node_id: UUID) -> None:
    """Give the run to the node where there is room for it, else its place in line; who stands behind it moves up.

    Of any number of workers that do this at once, no more take a run than there is room for.
    """
    await queue.lock(tx, run.project_id, limits)
    if await has_room(tx, run, limits):
        fresh = await runs.load_for_update(tx, run.id)
        if fresh is not None and _is_wanted(fresh) and await executions.claim(tx, run.id, node_id, backends.clock.now()):
            await _out_of_line(backends, tx, fresh)
            if POSITION_KEY in fresh.state:  # there was no room for it before: there may be more than it takes
                await call_next(backends, tx, run.project_id, limits)
    await _renumber(backends, tx, run.project_id, limits)


def _is_wanted(run: TaskRun) -> bool:
    """Whether nobody has ended the run, or taken it over, before it was ever claimed. One that was is its node's to finish."""
    waits = run.environment is Environment.CLOUD and not run.status.terminal and run.execution.ending is None
    return waits or run.execution.claimed_at is not None


async def leave(backends: Backends, tx: Transaction, run: TaskRun, limits: RunLimits) -> None:
    """Take a run that waits no more out of its line; who stands behind it moves up, and who has room now is told."""
    await queue.lock(tx, run.project_id, limits)
    fresh = await runs.load_for_update(tx, run.id)
    if fresh is not None:
        await _out_of_line(backends, tx, fresh)
    await _renumber(backends, tx, run.project_id, limits)
    await call_next(backends, tx, run.project_id, limits)


async def call_next(backends: Backends, tx: Transaction, project_id: int, limits: RunLimits) -> None:
    """Have the runs looked at that there is room for now, after the commit."""
    if not limits.any:
        return
    await queue.lock(tx, project_id, limits)
    called = await queue.admissible(tx, project_id, limits)
    await queue.wake(tx, called, backends.clock.now())
    for run_id in called:
        tx.after_commit(partial(backends.jobs.nudge, run_id, None))


async def _out_of_line(backends: Backends, tx: Transaction, run: TaskRun) -> None:
    """Forget the place of a run whose row is locked, with a state event where its readers knew it."""
    if POSITION_KEY in run.state:
        state = {key: value for key, value in run.state.items() if key != POSITION_KEY}
        changed = await runs.change(tx, run, {"place": None, "state": state}, backends.clock.now())
        await run_changes.add_state(backends, tx, changed)
    elif run.execution.place is not None:
        await runs.note(tx, run.id, {"place": None})


async def _renumber(backends: Backends, tx: Transaction, project_id: int, limits: RunLimits) -> None:
    """Let every run in a line have its number, and those that there is no room for tell it to their readers. Numbers only fall."""
    waiting = await queue.line(tx, project_id)
    may_begin = set(await queue.admissible(tx, project_id, limits)) if waiting else set()
    told, numbered = [], {}
    for place, run in enumerate(waiting, start=1):
        if run.id not in may_begin or POSITION_KEY in run.state:
            if (run.execution.place, run.state.get(POSITION_KEY)) != (place, place):
                told.append(_moved(run, place))
        elif run.execution.place != place:
            numbered[run.id] = place
    await queue.number(tx, numbered)
    if told:
        await run_changes.add_states(backends, tx, await queue.move_up(tx, told, backends.clock.now()))


def _moved(run: TaskRun, place: int) -> TaskRun:
    return replace(run, state=run.state | {POSITION_KEY: place}, execution=replace(run.execution, place=place))
