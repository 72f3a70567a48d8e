"""Everything that may die dies at random moments, under a crowd of clients; then the checker judges what they saw."""

import os
import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hedgerow.checker import Bounds, Guarantee, Recorder, Verdict, check
from hedgerow.checker.records import Settled
from tests.end_to_end.account import account
from tests.end_to_end.chaos import Chaos
from tests.end_to_end.crowd import Crowd
from tests.end_to_end.house import House

SECONDS = float(os.environ.get("HEDGEROW_CHAOS_SECONDS", "60"))
RUNS = int(os.environ.get("HEDGEROW_CHAOS_RUNS", "30"))
SEED = int(os.environ.get("HEDGEROW_CHAOS_SEED") or random.randrange(10**9))
_THREADS_A_RUN = 8
_END_SECONDS = 150.0  # from the last harm on
_BOUNDS = Bounds(end_seconds=_END_SECONDS, leave_seconds=30.0)
_SETTINGS = {
    "HEDGEROW_SANDBOX": "process",
    "HEDGEROW_INACTIVITY_TIMEOUT_MINUTES": "0.3",
    "HEDGEROW_LOOK_AGAIN_SECONDS": "5",
}


@pytest.mark.chaos
@pytest.mark.timeout(SECONDS + _END_SECONDS + 150 + RUNS * 2)
def test_the_checker_refutes_nothing_whatever_dies(
    make_house: Callable[..., House], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def tell(words: str) -> None:
        with capsys.disabled():
            sys.stderr.write(f"\n{words}\n")  # which reaches people also out of one of several test processes

    again = f"HEDGEROW_CHAOS_SEED={SEED} HEDGEROW_CHAOS_SECONDS={SECONDS:g} HEDGEROW_CHAOS_RUNS={RUNS}"
    tell(again)
    house = make_house(**_SETTINGS)
    chaos = Chaos(house, SEED)
    recorder = Recorder(tmp_path / "history.jsonl")
    with ThreadPoolExecutor(RUNS * _THREADS_A_RUN + 2) as threads:
        crowd, began = Crowd(house, recorder, SEED, threads), time.monotonic()
        try:
            _let_chaos_reign(chaos, crowd, threads)
        except BaseException as problem:
            crowd.give_up()
            (tmp_path / "account.txt").write_text(account(house, [witness.run for witness in crowd.witnesses]))
            house.kill()  # or clients in the middle of a call would wait on
            raise AssertionError(f"{again}: {problem!r}; {tmp_path}/account.txt says how everything stood") from problem
    tell(f"{time.monotonic() - began:.0f} seconds until everybody saw the end")
    recorder.add(Settled(at=time.monotonic(), client="chaos"))
    for witness in crowd.witnesses:
        witness.look_again()
    left = chaos.leftovers()
    for witness in crowd.witnesses:
        for what in left.pop(witness.run.id, []):
            witness.note_leftover(what)
    (tmp_path / "said.txt").write_text("".join(line for process in house.processes for line in process.said))
    report = check(recorder.history, _BOUNDS)
    tell("\n".join([", ".join(f"{what}: {times}" for what, times in sorted(chaos.done.items())), *report.lines()]))
    assert report.held, f"{again}: the history is {tmp_path}/history.jsonl"
    assert left == {}, f"{again}: something of no known run is left"
    assert chaos.fallen == [], again
    assert all(report.verdict(guarantee) is Verdict.HELD for guarantee in Guarantee), again


def _let_chaos_reign(chaos: Chaos, crowd: Crowd, threads: ThreadPoolExecutor) -> None:
    """Begin one run after the other while everything dies, and return once everybody has seen the end of all of them."""
    over, began = threading.Event(), time.monotonic()
    reign, supervisor = threads.submit(chaos.reign, SECONDS, over), threads.submit(chaos.supervise, over)
    for done in (reign, supervisor):
        done.add_done_callback(lambda done: crowd.give_up() if done.exception() else None)  # without a supervisor nobody need wait
    try:
        for number in range(RUNS):
            crowd.begin(number)
            crowd.pause(max(0.0, began + SECONDS * 0.8 * (number + 1) / RUNS - time.monotonic()))
        crowd.await_everybody(began + SECONDS + _END_SECONDS - time.monotonic())
    finally:
        over.set()
        reign.result()
        supervisor.result()
