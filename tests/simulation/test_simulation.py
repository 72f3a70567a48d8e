"""Ten thousand short histories of `decide`: of people who speak, cancel, end and start again at any moment, while everything dies.

A failing history prints its number; HEDGEROW_SIMULATION_SEED plays that one alone, HEDGEROW_SIMULATION_HISTORIES sets how many there are.
"""

import os
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import pytest

from hedgerow.checker.records import Answered, Frame, Heard, Kind, Sent
from hedgerow.domain import lifecycle
from hedgerow.domain.actions import Action, Checkpoint, CleanUp, Conclude, Deliver, Land, Nothing, StopSandbox, Wait
from hedgerow.domain.deadlines import Deadlines
from hedgerow.domain.end_reasons import EXPLANATIONS
from hedgerow.domain.inbox import Inbox
from hedgerow.domain.runs import EndReason, Environment, TaskRun
from hedgerow.domain.takeovers import Takeover
from tests.simulation.scenario import BrokenError, play
from tests.simulation.workers import Decide
from tests.simulation.world import World

_TOLD = {"message_status", "permission_request", "permission_answered", "permission_delivered", "permission_void"}

_BLOCK = 1000
_HISTORIES = int(os.environ.get("HEDGEROW_SIMULATION_HISTORIES", "10000"))
_SEED = os.environ.get("HEDGEROW_SIMULATION_SEED")
_BLOCKS = [range(first, min(first + _BLOCK, _HISTORIES)) for first in range(0, _HISTORIES, _BLOCK)]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a history was about, without the history: it is told to several tests, and thousands of histories would fill the memory."""

    actions: frozenset[str]
    reason: str | None
    heard: tuple[Kind, ...]
    told: frozenset[str]
    takeovers: tuple[Takeover, ...]
    refused: bool  # whether an agent of a machine that was taken for lost was


@cache
def _seen(seed: int) -> Seen:
    """What is in a history that `decide` drives. Raises BrokenError; plays each but once."""
    world = play(seed)
    return Seen(
        actions=frozenset(type(action).__name__ for _, _, action in world.trace),
        reason=world.run.state.get("end_reason"),
        heard=tuple(record.kind for record in world.history if isinstance(record, Heard)),
        told=frozenset(record.text.partition(",")[0] for record in world.history if isinstance(record, Frame)),
        takeovers=tuple(world.takeovers),
        refused=bool(world.takeovers) and _was_refused(world),
    )


@pytest.mark.parametrize("seeds", _BLOCKS if _SEED is None else [range(int(_SEED), int(_SEED) + 1)], ids=lambda seeds: f"from {seeds[0]}")
def test_every_run_ends_in_time_with_a_reason_and_nothing_is_done_twice_or_left(seeds: range) -> None:
    for seed in seeds:
        _seen(seed)


def test_the_same_number_plays_the_same_history() -> None:
    assert play(7).history == play(7).history


def test_the_histories_reach_what_they_are_about() -> None:
    histories = [_seen(seed) for seed in range(800)]
    assert frozenset().union(*(history.actions for history in histories)) == {kind.__name__ for kind in Action.__args__}
    reasons = {history.reason for history in histories}
    assert reasons >= {"finished", "output_accepted", "cancelled", "inactivity", "wall_clock", "agent_failed", "agent_lost", "client"}
    assert reasons >= {reason.value for reason in (EndReason.SANDBOX_LOST, EndReason.SANDBOX_FAILED, EndReason.START_FAILED)}
    assert reasons - {None} <= {reason.value for reason in EXPLANATIONS}
    heard = [kind for history in histories for kind in history.heard]
    assert set(heard) == {Kind.MESSAGE, Kind.ANSWER}
    assert frozenset().union(*(history.told for history in histories)) == {f'{{"type":"{kind}"' for kind in _TOLD}
    assert len(heard) > 300


def test_the_histories_hold_machines_that_are_lost_in_every_situation() -> None:
    histories = [_seen(seed) for seed in range(2500)]
    takeovers = [takeover for history in histories for takeover in history.takeovers]
    assert {takeover.sentence.partition(".")[0] for takeover in takeovers} == {
        "It begins again on another one",
        "None of its work is lost",
        "There was no checkpoint of its files",
        "It goes on from its last checkpoint on another one",
        "Its result is brought back from its last checkpoint",
    }
    assert any(takeover.asks_again for takeover in takeovers)
    assert any(history.refused for history in histories), "agents of machines that came back are refused"


def _was_refused(world: World) -> bool:
    epochs = {record.call: record.epoch for record in world.history if isinstance(record, Sent) and record.epoch is not None}
    return any(isinstance(record, Answered) and record.call in epochs and not record.accepted for record in world.history)


def test_a_control_plane_that_hears_older_epochs_is_found() -> None:
    with pytest.raises(BrokenError, match="an older epoch was accepted"):
        _play_all(range(5000), lifecycle.decide, fenced=False)


def _without_a_wall_clock(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines, node_id: UUID, **facts: Any) -> Action:
    action = lifecycle.decide(run, inbox, now, deadlines, node_id, **facts)
    endless = isinstance(action, Conclude) and action.ending.reason is EndReason.WALL_CLOCK
    return Wait(now + deadlines.look_again) if endless else action


def _without_tidying_up(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines, node_id: UUID, **facts: Any) -> Action:
    action = lifecycle.decide(run, inbox, now, deadlines, node_id, **facts)
    return Nothing() if isinstance(action, CleanUp) else action


def _with_a_forgotten_sandbox(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines, node_id: UUID, **facts: Any) -> Action:
    action = lifecycle.decide(run, inbox, now, deadlines, node_id, **facts)
    return Land() if isinstance(action, StopSandbox) else action


def _in_circles(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines, node_id: UUID, **facts: Any) -> Action:
    return lifecycle.decide(replace(run, execution=replace(run.execution, ending=None)), inbox, now, deadlines, node_id, **facts)


def _past_the_end(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines, node_id: UUID, **facts: Any) -> Action:
    action = lifecycle.decide(run, inbox, now, deadlines, node_id, **facts)
    return Deliver() if inbox.queued and run.execution.session_ready_at is not None else action


def _without_a_last_checkpoint(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines, node_id: UUID, **facts: Any) -> Action:
    action = lifecycle.decide(run, inbox, now, deadlines, node_id, **facts)
    return Land() if isinstance(action, Checkpoint) and run.execution.sandbox is None else action


def _speaking_before_the_checkpoint(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines, node_id: UUID, **facts: Any) -> Action:
    action = lifecycle.decide(run, inbox, now, deadlines, node_id, **facts)
    waits = inbox.queued and not inbox.delivered and run.execution.sandbox is not None
    return Deliver() if isinstance(action, Checkpoint) and waits else action


def _removing_what_its_client_has_not_got(
    run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines, node_id: UUID, **facts: Any
) -> Action:
    action = lifecycle.decide(run, inbox, now, deadlines, node_id, **facts)
    return CleanUp() if isinstance(action, Land) and run.environment is Environment.LOCAL else action


def _where_the_disk_is_full(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines, node_id: UUID, **facts: Any) -> Action:
    return lifecycle.decide(run, inbox, now, deadlines, node_id, **{**facts, "may_claim": True})


@pytest.mark.parametrize(
    ("decide", "finding"),
    [
        (_without_a_wall_clock, "something still happens long after everything should be over"),
        (_without_tidying_up, "a node has not tidied up"),
        (_with_a_forgotten_sandbox, "(work is landed that nobody has tried to checkpoint|a worker that does not come to rest: Land)"),
        (_in_circles, "an end that was decided is overwritten"),
        (_past_the_end, "Deliver.* for a run that is over"),
        (_without_a_last_checkpoint, "work is landed that nobody has tried to checkpoint"),
        (_speaking_before_the_checkpoint, "a message goes to an agent whose last turn nobody has tried to checkpoint"),
        (_removing_what_its_client_has_not_got, "a workspace is removed whose work lies nowhere else"),
        (_where_the_disk_is_full, "a run is put onto a disk that is full"),
    ],
    ids=lambda given: given.__name__ if callable(given) else "",
)
def test_a_decide_that_errs_is_found_and_the_number_of_its_history_is_told(decide: Decide, finding: str) -> None:
    with pytest.raises(BrokenError, match=rf"HEDGEROW_SIMULATION_SEED=\d+ plays this again: {finding}"):
        _play_all(range(1000), decide)


def _play_all(seeds: range, decide: Decide, *, fenced: bool = True) -> None:
    for seed in seeds:
        play(seed, decide, fenced=fenced)
