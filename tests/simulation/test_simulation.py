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
from hedgerow.domain.end_reasons import EXPLANATIONS
from hedgerow.domain.lifecycle import Action, Checkpoint, CleanUp, Conclude, Deadlines, Inbox, Land, Nothing, StopSandbox, Wait
from hedgerow.domain.runs import EndReason, Environment, TaskRun
from hedgerow.domain.takeovers import Takeover
from tests.simulation.scenario import BrokenError, play
from tests.simulation.workers import Decide
from tests.simulation.world import World

_NOT_PLAYED = {"Hold"}
"""The disks of this world have room: runs that wait for it are played on a real database, in tests/lifecycle."""

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
    assert frozenset().union(*(history.actions for history in histories)) == {kind.__name__ for kind in Action.__args__} - _NOT_PLAYED
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
    return lifecycle.Deliver() if inbox.queued and run.execution.session_ready_at is not None else action


def _without_a_last_checkpoint(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines, node_id: UUID, **facts: Any) -> Action:
    action = lifecycle.decide(run, inbox, now, deadlines, node_id, **facts)
    return Land() if isinstance(action, Checkpoint) and run.execution.sandbox is None else action


def _speaking_before_the_checkpoint(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines, node_id: UUID, **facts: Any) -> Action:
    action = lifecycle.decide(run, inbox, now, deadlines, node_id, **facts)
    waits = inbox.queued and not inbox.delivered and run.execution.sandbox is not None
    return lifecycle.Deliver() if isinstance(action, Checkpoint) and waits else action


def _removing_what_its_client_has_not_got(
    run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines, node_id: UUID, **facts: Any
) -> Action:
    action = lifecycle.decide(run, inbox, now, deadlines, node_id, **facts)
    return CleanUp() if isinstance(action, Land) and run.environment is Environment.LOCAL else action


@pytest.mark.parametrize(
    "decide",
    [
        _without_a_wall_clock,
        _without_tidying_up,
        _with_a_forgotten_sandbox,
        _in_circles,
        _past_the_end,
        _without_a_last_checkpoint,
        _speaking_before_the_checkpoint,
        _removing_what_its_client_has_not_got,
    ],
    ids=lambda d: d.__name__,
)
def test_a_decide_that_errs_is_found_and_the_number_of_its_history_is_told(decide: Decide) -> None:
    with pytest.raises(BrokenError, match=r"HEDGEROW_SIMULATION_SEED=\d+ plays this again: ") as broken:
        _play_all(range(1000), decide)
    assert isinstance(broken.value.__cause__, AssertionError), "it broke by itself"


def _play_all(seeds: range, decide: Decide, *, fenced: bool = True) -> None:
    for seed in seeds:
        play(seed, decide, fenced=fenced)
