"""A crowd of clients that use runs in every way, whatever is killed meanwhile. What each does is chosen by one seed."""

import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import count
from typing import Any

import httpx

from hedgerow.checker import Recorder
from tests.end_to_end.house import House, Run
from tests.end_to_end.patience import Patience
from tests.end_to_end.witness import Manner, Witness

_MANNERS = (Manner(), Manner(cut_after=7), Manner(pause_seconds=0.01), Manner(cut_after=25, pause_seconds=0.02))
_TERMINAL = {"completed", "failed", "cancelled"}
_PATIENCE_SECONDS = 120.0
_numbers = count(1)


class Crowd:
    """Clients of a house. Each run has one that drives it and two that read it."""

    def __init__(self, house: House, recorder: Recorder, seed: int, threads: ThreadPoolExecutor) -> None:
        self.witnesses: list[Witness] = []
        self._clients: list[Future[None]] = []
        self._patience = Patience(_PATIENCE_SECONDS)
        self._house = house
        self._recorder = recorder
        self._random = random.Random(seed)
        self._threads = threads
        self._kinds: list[Callable[[random.Random], None]] = [
            self._background,
            self._conversation,
            self._local,
            self._asking,
            self._cancelled,
            self._once_more,
        ]

    def begin(self, number: int) -> None:
        """Let the next run begin."""
        chosen = random.Random(self._random.random())
        self._submit(self._kinds[number % len(self._kinds)], chosen)

    def await_everybody(self, seconds: float) -> None:
        """Return once every client has done what it wanted, and every reader has read to the end.

        Raises what the first of them met, and TimeoutError where it takes longer.
        """
        deadline = time.monotonic() + seconds
        while waiting := [client for client in list(self._clients) if not client.done()]:
            wait(waiting, timeout=max(0.0, deadline - time.monotonic()), return_when=FIRST_EXCEPTION)
            self._raise()
            if time.monotonic() >= deadline:
                raise TimeoutError(f"some clients are not done after {seconds:.0f} seconds")
        self._raise()

    def _raise(self) -> None:
        for client in list(self._clients):
            if client.done():
                client.result()

    def pause(self, seconds: float) -> None:
        """Wait, unless everybody is told to give up."""
        self._patience.wait(seconds)

    def give_up(self) -> None:
        """Let every client end where it stands."""
        self._patience.give_up()

    def _submit(self, work: Callable[..., None], *arguments: Any) -> None:
        self._clients.append(self._threads.submit(work, *arguments))

    def _background(self, chosen: random.Random) -> None:
        """An agent works by itself, and is given something more to do; people add files."""
        witness = self._run(chosen, _work(chosen))
        if chosen.random() < 0.5:
            witness.say("person", _words([{"burst": {"count": 5, "text": "as well"}}]))
        for number in range(3):
            witness.upload("person", f"file-{number}.txt", "x" * chosen.randrange(1, 20_000))
        self._see_end(witness)

    def _conversation(self, chosen: random.Random) -> None:
        """A person speaks now and then, and ends the run, or leaves it alone."""
        witness = self._run(chosen, [{"say": "Hello."}], mode="interactive")
        for _ in range(chosen.randrange(2, 6)):
            witness.say("person", _words([{"burst": {"count": 20, "text": "line"}}, {"sleep": chosen.uniform(0, 0.5)}]))
            self._patience.wait(chosen.uniform(0, 1.5))
        if chosen.random() < 0.8:
            witness.end("person", chosen.choice(["completed", "cancelled", "failed"]))
        self._see_end(witness)

    def _local(self, chosen: random.Random) -> None:
        """Two clients write the journal of a run that no worker drives."""
        task = self._post("tasks/", {"title": "A local run"})
        made = self._post(f"tasks/{task['id']}/runs/", {"environment": "local"})
        witness = self._watch(chosen, Run(self._house, task["id"], made["id"], task["slug"]), entries=True)
        writers = [self._threads.submit(_write, witness, f"writer-{number}", chosen.randrange(20, 60)) for number in range(2)]
        for writer in writers:
            writer.result()
        witness.end("writer-0", "completed")
        self._see_end(witness)

    def _asking(self, chosen: random.Random) -> None:
        """An agent asks for leave, and two people answer at once."""
        script = [{"ask": "Delete everything"}, {"say": "It is gone."}]
        witness = self._run(chosen, script, mode="interactive", initial_permission_mode="default")
        request = self._request(witness)
        if request is not None:
            answers = [self._threads.submit(self._answer, witness, f"person-{option}", request, option) for option in ("allow", "reject")]
            for answer in answers:
                answer.result()
            self._patience.wait(chosen.uniform(0, 2))
            witness.end("person-allow", "completed")
        self._see_end(witness)

    def _cancelled(self, chosen: random.Random) -> None:
        """A person has seen enough."""
        witness = self._run(chosen, [*_work(chosen), {"sleep": 60}])
        self._patience.wait(chosen.uniform(0, 6))
        for _ in self._patience.tries(0.5):
            if witness.read_state("person") in _TERMINAL:
                break
            if not witness.cancel("person"):
                witness.end("person", "cancelled")
        self._see_end(witness)

    def _once_more(self, chosen: random.Random) -> None:
        """An ended run goes on, and ends again, while somebody holds the tokens of both of its starts."""
        witness = self._run(chosen, [{"burst": {"count": 10, "text": "first"}}, {"sleep": chosen.uniform(0, 2)}])
        over = threading.Event()
        holder = self._threads.submit(_use_tokens, witness, over)
        try:
            self._see_end(witness)
            for _ in self._patience.tries(0.2):
                if witness.start_again("person") or witness.read_state("person") not in _TERMINAL:
                    break
            witness.say("person", _words([{"burst": {"count": 10, "text": "second"}}]))
            self._patience.wait(chosen.uniform(0, 3))
            witness.end("person", "completed")
            self._see_end(witness)
        finally:
            over.set()
        holder.result()

    def _run(self, chosen: random.Random, script: list[dict[str, Any]], **wishes: Any) -> Witness:
        words = _words(script)
        task = self._post("tasks/", {"title": "A scripted task", "description": words})
        wishes = {"runtime_adapter": "scripted", "model": "default", **wishes}
        run = self._post(f"tasks/{task['id']}/run/", wishes)["latest_run"]
        witness = self._watch(chosen, Run(self._house, task["id"], run["id"], task["slug"]))
        witness.start(words)
        return witness

    def _watch(self, chosen: random.Random, run: Run, *, entries: bool = False) -> Witness:
        witness = Witness(run, self._recorder, entries=entries, patience=self._patience)
        self.witnesses.append(witness)
        for number in range(2):
            self._submit(witness.follow, f"reader-{number}", chosen.choice(_MANNERS))
        return witness

    def _see_end(self, witness: Witness) -> None:
        witness.follow("driver")
        witness.read_state("driver")

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What a call answers in the end; made again under its key until it does."""
        key = f"crowd-{next(_numbers)}"
        for _ in self._patience.tries(0.1):
            with suppress(httpx.HTTPError), self._house.client() as http:
                answer: dict[str, Any] = http.post(path, json=body, headers={"Idempotency-Key": key}).raise_for_status().json()
                return answer
        raise AssertionError(f"{path} was not answered")

    def _answer(self, witness: Witness, client: str, request: str, option: str) -> None:
        """Answer until it is known what became of it, or the run is over."""
        for _ in self._patience.tries(0.1):
            if witness.answer(client, request, option) is not None:
                return
        raise AssertionError(f"an answer for run {witness.run.id} was not answered")

    def _request(self, witness: Witness) -> str | None:
        """The permission request of a run, once it is made; None where the run ends without."""
        for _ in self._patience.tries(0.2):
            if (request := witness.asked()) is not None:
                return request
            if witness.read_state("person") in _TERMINAL:
                return None
        raise AssertionError(f"nobody was asked in run {witness.run.id}")


def _words(script: list[dict[str, Any]]) -> str:
    """A script that no other message has."""
    return json.dumps({"steps": [*script, {"say": f"Said {next(_numbers)}."}]})


def _work(chosen: random.Random) -> list[dict[str, Any]]:
    before, after = ({"burst": {"count": chosen.randrange(10, 200), "text": word}} for word in ("before", "after"))
    return [before, {"write": {"path": "a.txt", "content": "a\n"}}, {"sleep": chosen.uniform(0, 4)}, after]


def _write(witness: Witness, client: str, times: int) -> None:
    for number in range(times):
        texts = [json.dumps({"type": "notification", "of": client, "number": number, "part": part}) for part in range(5)]
        witness.append(client, texts)
        time.sleep(0.1)


def _use_tokens(witness: Witness, over: threading.Event) -> None:
    for number in count(1):
        for epoch in (1, 2):
            witness.append_for("holder", epoch, json.dumps({"type": "notification", "of": "holder", "epoch": epoch, "number": number}))
        if over.wait(0.3):
            return
