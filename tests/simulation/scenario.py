"""What befalls one run: who speaks when, what dies when, all of it from one number."""

from hedgerow.checker import Bounds, check
from hedgerow.domain import lifecycle
from hedgerow.domain.housekeeping import WAITING_KEY
from hedgerow.domain.runs import Environment
from tests.simulation.workers import Decide, Workers
from tests.simulation.world import DEADLINES, LONGEST_FULL_SECONDS, LONGEST_LINE_SECONDS, NODES, World

LAST_EVENT_SECONDS = 400.0
TIDY_SECONDS = 600.0  # landing and tidying up, with everything in their way that a scenario holds
LONGEST_WAIT_SECONDS = LONGEST_LINE_SECONDS + len(NODES) * LONGEST_FULL_SECONDS
BOUNDS = Bounds(end_seconds=LONGEST_WAIT_SECONDS + DEADLINES.wall_clock.total_seconds() + TIDY_SECONDS, leave_seconds=TIDY_SECONDS)


class BrokenError(AssertionError):
    """A history that breaks what is guaranteed. Its text holds what is needed to play it again."""


def play(seed: int, decide: Decide = lifecycle.decide, *, fenced: bool = True) -> World:
    """One history. Raises BrokenError."""
    world = World(seed)
    world.fenced = fenced
    try:
        _play(world, decide)
    except Exception as error:
        decided = [f"{at:8.2f} node {node.int}: {action}" for at, node, action in world.trace[-40:]]
        told = "\n".join([*decided, *map(str, world.history[-20:])])
        raise BrokenError(f"HEDGEROW_SIMULATION_SEED={seed} plays this again: {error}\n{told}") from error
    return world


def _play(world: World, decide: Decide) -> None:
    random = world.random
    workers = Workers(
        world,
        decide,
        trouble=random.choice([0.0, 0.0, 0.05, 0.3]),
        lost_nudges=random.choice([0.0, 0.1, 1.0]),
        doubled_nudges=random.choice([0.0, 0.5]),
        slow=random.choice([0.1, 1.0, 4.0]),
    )
    world.nudge, world.find, world.stir = workers.nudge, workers.arrive, workers.stir
    world.reachable = workers.up.__getitem__
    world.after(0.0, world.start)
    world.after(world.full_until, world.call_next)
    for _ in range(world.ahead):
        world.after(random.uniform(0.0, world.full_until), world.move_up)
    deeds = [world.message, world.message, world.withdraw, world.move, world.cancel, world.cancel, world.end_by_hand, world.open_again]
    deeds += [world.requests.ask, world.requests.ask, world.hand_over, world.resume, world.resume, world.accept_output]
    faults = [workers.crash, workers.crash, workers.lose_machine, workers.lose_machine, world.lose_agent, world.lose_sandbox, world.jump]
    if not world.fenced:
        faults = [workers.lose_machine]  # that is when it shows
    span = random.choice([5.0, 40.0, LAST_EVENT_SECONDS])
    begin, length = (random.uniform(0.0, span), 3.0) if random.random() < 0.5 else (0.0, span)  # a flurry, or now and then
    for deed in [*random.choices(deeds, k=random.randint(0, 6)), *random.choices(faults, k=random.randint(0, 4))]:
        world.after(begin + random.uniform(0.0, length), deed)
    _watch(world, workers)
    assert world.play(until=span + 2 * BOUNDS.end_seconds), "something still happens long after everything should be over"
    _check_rest(world)
    report = check(world.conclude(), BOUNDS)
    assert report.held, "\n".join(map(str, report.findings))


def _watch(world: World, workers: Workers) -> None:
    """Sandboxes are looked at when they may have died; the real watch does so every second."""
    lose = world.lose_sandbox

    def lose_and_watch() -> None:
        lose()
        world.after(world.random.uniform(0.0, 1.0), workers.watch)

    world.lose_sandbox = lose_and_watch  # type: ignore[method-assign]


def _check_rest(world: World) -> None:
    """Whoever the run belongs to in the end, nothing of it is left on a node."""
    execution = world.run.execution
    assert WAITING_KEY not in world.run.state, "it still says that it waits for a disk"
    if execution.node_id in world.gone:
        assert world.run.status.terminal or world.run.environment is Environment.LOCAL or execution.started_at is None, "it is waited for"
        return  # what is left to do, its machine alone could do
    assert execution.wake_at is None, "somebody still means to look at the run"
    assert execution.sandbox is None, "a sandbox is left"
    assert execution.place is None, "it still stands in line"
    assert execution.node_id is None or execution.cleaned_at is not None, "a node has not tidied up"
    if world.run.environment is Environment.CLOUD and execution.started_at is not None:
        assert world.run.status.terminal, "the run has not ended"
