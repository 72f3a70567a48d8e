"""Everything that may die dies at random moments, under a crowd of clients; then the checker judges what they saw."""

import os
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hedgerow.checker import Bounds, Guarantee, Recorder, Verdict, check
from hedgerow.checker.records import Settled
from tests.end_to_end.chaos import Chaos
from tests.end_to_end.crowd import Crowd
from tests.end_to_end.house import House

SECONDS = float(os.environ.get("HEDGEROW_CHAOS_SECONDS", "60"))
SEED = int(os.environ.get("HEDGEROW_CHAOS_SEED") or random.randrange(10**9))
RUNS = max(30, int(SECONDS / 2))
_THREADS = 250
_BOUNDS = Bounds(end_seconds=150.0, leave_seconds=30.0)
_SETTINGS = {
    "HEDGEROW_SANDBOX": "process",
    "HEDGEROW_INACTIVITY_TIMEOUT_MINUTES": "0.3",
    "HEDGEROW_LOOK_AGAIN_SECONDS": "5",
}


@pytest.mark.crowd
@pytest.mark.timeout(SECONDS + 400)
def test_the_checker_refutes_nothing_whatever_dies(
    make_house: Callable[..., House], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\nHEDGEROW_CHAOS_SEED={SEED} HEDGEROW_CHAOS_SECONDS={SECONDS:g}: {RUNS} runs\n")
    house = make_house(**_SETTINGS)
    chaos = Chaos(house, SEED)
    recorder = Recorder(tmp_path / "history.jsonl")
    with ThreadPoolExecutor(_THREADS) as threads:
        crowd = Crowd(house, recorder, SEED, threads)
        reign = threads.submit(chaos.reign, SECONDS)
        began, clients = time.monotonic(), []
        try:
            for number in range(RUNS):
                clients.append(crowd.begin(number))
                time.sleep(max(0.0, began + SECONDS * 0.8 * (number + 1) / RUNS - time.monotonic()))
            for future in [reign, *clients]:
                future.result()
            crowd.await_readers()
        except BaseException:
            house.kill()  # or the readers would wait on, and nobody would hear of it
            raise
    recorder.add(Settled(at=time.monotonic(), client="chaos"))
    for witness in crowd.witnesses:
        witness.look_again()
    left = chaos.leftovers()
    for witness in crowd.witnesses:
        for what in left.pop(witness.run.id, []):
            witness.note_leftover(what)
    (tmp_path / "said.txt").write_text("".join(line for process in house.processes for line in process.said))
    report = check(recorder.history, _BOUNDS)
    with capsys.disabled():
        done = ", ".join(f"{what}: {times}" for what, times in sorted(chaos.done.items()))
        sys.stdout.write("\n".join([done, *report.lines(), ""]))
    assert report.held, f"the history is {tmp_path}/history.jsonl"
    assert left == {}, "something of no known run is left"
    assert all(report.verdict(guarantee) is Verdict.HELD for guarantee in Guarantee)
