"""One decision of what a run needs next, against finding the deadlines that hold for it, which is a part of that."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from benchmarks.report import Figure, percentile
from hedgerow.domain.deadlines import Deadlines
from hedgerow.domain.inbox import Inbox
from hedgerow.domain.lifecycle import decide
from hedgerow.domain.runs import Environment, Execution, RunStatus, SandboxHandle, TaskRun

_NOW = datetime(2026, 5, 7, 12, tzinfo=UTC)
_NODE = UUID(int=1)
_DEADLINES = Deadlines(
    inactivity=timedelta(minutes=30),
    wall_clock=timedelta(days=1),
    look_again=timedelta(seconds=30),
    sandbox=timedelta(hours=12),
    turn_silence=timedelta(hours=1),
    landing=timedelta(minutes=1),
    prepare_attempts=3,
)
_ROUNDS = 30
_CALLS = 2000
_MOST_MICROSECONDS = 50.0


def measure() -> list[Figure]:
    """The longest way through a decision: a turn that runs, in a run with deadlines of its own. The slowest of the usual rounds counts."""
    run, inbox = _in_a_turn(), Inbox(queued=1, delivered=1, heard_at=_NOW)
    taken = percentile(_rounds(lambda: decide(run, inbox, _NOW, _DEADLINES, _NODE)), 0.9)
    bare = percentile(_rounds(lambda: _DEADLINES.of(run)), 0.9)
    return [
        Figure(
            name="a decision (decide)",
            value=f"{taken:.1f} µs",
            yardstick=f"its deadlines alone {bare:.1f} µs",
            ratio=f"{taken / bare:.1f}",
            goal=f"under {_MOST_MICROSECONDS:.0f} µs",
            reached=taken < _MOST_MICROSECONDS,
        )
    ]


def _in_a_turn() -> TaskRun:
    made = SandboxHandle(provider="process", id="1")
    execution = Execution(
        started_at=_NOW, claimed_at=_NOW, node_id=_NODE, sandbox=made, sandbox_made_at=_NOW, checked_out_at=_NOW, session_ready_at=_NOW,
        turn_started_at=_NOW, active_at=_NOW,
    )  # fmt: skip
    return TaskRun(
        id=UUID(int=9),
        task_id=UUID(int=8),
        project_id=1,
        number=1,
        status=RunStatus.IN_PROGRESS,
        environment=Environment.CLOUD,
        created_at=_NOW,
        updated_at=_NOW,
        state={"mode": "background", "wall_clock_minutes": 90, "turn_silence_minutes": 30},
        execution=execution,
    )


def _rounds(work: Callable[[], object]) -> list[float]:
    """Microseconds of one call, round by round: of this process's own time, whoever else uses the machine."""
    taken = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        for _ in range(_CALLS):
            work()
        taken.append((time.process_time() - began) / _CALLS * 1e6)
    return taken
