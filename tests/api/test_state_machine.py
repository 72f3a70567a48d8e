"""Runs under a client that does anything at any moment, on the real API, the real PostgreSQL and the real lifecycle: what all who took
part saw is judged by the checker, and nothing may be refuted.

HEDGEROW_MACHINE_EXAMPLES sets how many runs there are. The same number plays the same ones again, and a failing run is printed as the
program of its steps.
"""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from hedgerow.checker import Bounds, check
from hedgerow.checker.records import (
    Frame,
    Heard,
    Kind,
    Leftover,
    Record,
    Scope,
    Settled,
)
from hedgerow.db import nodes
from hedgerow.domain.runs import Ending, EndReason, RunStatus, TaskRun
from hedgerow.lifecycle import Leftovers, conclude_unless_ending, take_over
from tests.api.conftest import Served
from tests.api.played_sandboxes import PlayedAgent
from tests.api.watched_runs import Stage, Watched, stage

_EXAMPLES = int(os.environ.get("HEDGEROW_MACHINE_EXAMPLES", "15"))
_SHRINKS = "HEDGEROW_MACHINE_EXAMPLES" in os.environ  # a run that takes seconds is not shrunk within the time that all tests have
_STEPS = 25
_LEAVE_SECONDS = 3600.0
_TERMINAL = {"completed", "failed", "cancelled"}
_DISTURBANCES = [
    "patch in_progress",
    "patch completed",
    "patch failed",
    "hand over",
    "command cancel",
    "command cancel",
    "command close",
    "set output",
    "the agent dies",
    "the sandbox dies",
    "the clock jumps",
    "the clock jumps",
    "a worker dies",
    "a worker dies",
    "a machine is lost",
    "a machine is lost",
]
_TEXTS = ["Go on", "Paint it", 'And mend the gate\n"twice"', "Grüße \u2028 \U0001f33f", " "]
_CHANGES = ["move", "promote", "demote", "take back"]
_JUMPS = [-60, -60, -1, 1, 1, 31, 400]  # minutes
_MOST_LOOKS = 1000  # each message that waits takes a few


class Machine(RuleBasedStateMachine):
    """One run. Each rule is what somebody may do at any moment; what is refused is refused."""

    stage: Stage
    loop: asyncio.AbstractEventLoop
    run: Watched

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The outcome of work on the loop of the test, from the thread of the machine."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=20)

    @initialize(
        mode=st.sampled_from(["interactive", "interactive", "background"]),
        schema=st.booleans(),
        looks=st.integers(0, 2),
        lost=st.sampled_from([None, "dies", "is cut off"]),
    )
    def create(self, mode: str, schema: bool, looks: int, lost: str | None) -> None:
        self.do(self._create(mode, schema))
        if looks:
            self.do(self._begin("start/"))
            self.do(self._work(looks))
            if lost is not None:
                self.do(self._lose_machine(dies=lost == "dies", comes_back=False))

    async def _create(self, mode: str, schema: bool) -> None:
        served, client = self.stage.served, self.stage.client
        wanted = {"json_schema": {"type": "object"}} if schema else {}
        task = (await client.post(served.tasks, json={"title": "Mend it", "description": "Mend it", **wanted})).json()
        answer = await client.post(f"{served.tasks}{task['id']}/runs/", json={"environment": "cloud", "mode": mode})
        run_id = answer.json()["id"]
        self.run = self.stage.runs[run_id] = Watched(self.stage, f"{served.tasks}{task['id']}/runs/{run_id}/", run_id)
        self.run.history.append(Scope(at=time.monotonic(), client="machine", run=run_id, agent=True))

    async def _begin(self, path: str) -> None:
        began = time.monotonic()
        await self.run.call(Kind.START, "POST", path)
        await self.run.note_new_messages(began)

    @rule(path=st.sampled_from(["start/", "resume_in_cloud/"]))
    def begin(self, path: str) -> None:
        self.do(self._begin(path))

    @rule(looks=st.integers(1, 3))
    def work(self, looks: int) -> None:
        self.do(self._work(looks))
        self.do(self.run.read_state())

    async def _work(self, looks: int) -> None:
        for _ in range(looks):
            await self.run.look()
            await self.run.agent()

    async def _die(self, pauses: int) -> None:
        """A worker that gets as far as it gets in so many turns of the loop, a few of which are waits for the database."""
        working = asyncio.ensure_future(self.run.look())
        for _ in range(pauses):
            await asyncio.wait([working], timeout=0.001)
        working.cancel()
        await asyncio.wait([working])

    @rule(what=st.sampled_from(_DISTURBANCES), while_working=st.booleans(), amount=st.integers(0, 30))
    def disturb(self, what: str, while_working: bool, amount: int) -> None:
        """Something that may end the run, or get in its way."""
        self.do(self._beside_a_worker(self._disturb(what, amount), while_working and what not in {"a worker dies", "a machine is lost"}))

    async def _disturb(self, what: str, amount: int) -> None:
        match what.split():
            case ["patch", status]:
                kind = Kind.END if status in _TERMINAL else Kind.OPEN
                await self.run.call(kind, "PATCH", "", json={"status": status})
            case ["hand", "over"]:
                await self.run.call(Kind.OPEN, "PATCH", "", json={"environment": "local"})
            case ["command", method]:
                await self.run.call(None, "POST", "command/", json=_command(method))
            case ["set", "output"]:
                await self._as_agent(self._set_output)
            case ["the", "agent", "dies"]:
                await self._as_agent(self._lose_agent)
            case ["the", "sandbox", "dies"]:
                await self._kill()
            case ["the", "clock", "jumps"]:
                self.stage.clock.skew += timedelta(minutes=_JUMPS[amount % len(_JUMPS)])
            case ["a", "worker", "dies"]:
                await self._die(amount)
            case ["a", "machine", "is", "lost"]:
                await self._lose_machine(dies=amount % 2 == 0, comes_back=amount % 3 == 0)

    @rule(
        texts=st.lists(st.sampled_from(_TEXTS), min_size=1, max_size=3),
        how=st.sampled_from([None, None, *_CHANGES]),
        insists=st.booleans(),
        while_working=st.booleans(),
    )
    def talk(self, texts: list[str], how: str | None, insists: bool, while_working: bool) -> None:
        """Somebody says something, and may think better of the last of it."""
        for text in texts:
            self.do(self._beside_a_worker(self._say(text, insists), while_working and how is None))
        if how is not None and self.run.messages:
            self.do(self._beside_a_worker(self._change(self.run.messages[-1], how), while_working))

    async def _say(self, text: str, insists: bool) -> None:
        """As clients do: where the run has ended, it is resumed, and then the message is sent again."""
        began = time.monotonic()
        answer = await self.run.call(None, "POST", "command/", json=_command("user_message", content=text))
        if answer.is_success:
            message_id = answer.json()["result"]["messageId"]
            self.run.messages.append(message_id)
            self.run.note(Kind.MESSAGE, began, True, message_id)
        elif insists and "No active sandbox" in answer.text:
            await self._begin("resume_in_cloud/")
            await self._say(text, False)

    async def _beside_a_worker(self, work: Coroutine[Any, Any, Any], while_working: bool) -> None:
        await asyncio.gather(work, self._work(1) if while_working else asyncio.sleep(0))

    @precondition(lambda self: self.run.messages)
    @rule(index=st.integers(0, 9), how=st.sampled_from(_CHANGES), while_working=st.booleans())
    def rearrange(self, index: int, how: str, while_working: bool) -> None:
        message_id = self.run.messages[-1 - index % len(self.run.messages)]
        self.do(self._beside_a_worker(self._change(message_id, how), while_working))

    async def _change(self, message_id: str, how: str) -> None:
        path = f"messages/{message_id}/"
        match how:
            case "move":
                await self.run.call(Kind.MOVE, "PATCH", path, message_id, json={"position": 2})
            case "take back":
                await self.run.call(Kind.WITHDRAWAL, "DELETE", path, message_id)
            case _:
                await self.run.call(Kind.MOVE, "POST", f"{path}{how}/", message_id)

    @rule(stop_reason=st.sampled_from(["end_turn", "end_turn", "end_turn", "refusal"]))
    def end_turn(self, stop_reason: str) -> None:
        self.do(self._as_agent(lambda agent: agent.end_turn(stop_reason)))

    @rule(option=st.sampled_from([None, "yes", "no"]), while_working=st.booleans())
    def ask(self, option: str | None, while_working: bool) -> None:
        """The agent asks leave, and somebody may answer at once."""
        self.do(self._work(1))
        name = self.do(self._as_agent(lambda agent: agent.ask()))
        if name is not None:
            self.run.requests.append(name)
            if option is not None:
                self.do(self._beside_a_worker(self._answer(name, option, "person"), while_working))

    async def _as_agent(self, deed: Any) -> Any:
        agent = await self.run.agent()
        return None if agent is None else await deed(agent)

    @precondition(lambda self: self.run.requests)
    @rule(index=st.integers(0, 9), options=st.lists(st.sampled_from(["yes", "no", "perhaps"]), min_size=1, max_size=3), work=st.booleans())
    def answer(self, index: int, options: list[str], work: bool) -> None:
        name = self.run.requests[-1 - index % len(self.run.requests)]
        answers = [self._answer(name, option, f"person-{n}") for n, option in enumerate(options)]
        self.do(self._beside_a_worker(_all(answers), work))

    async def _answer(self, name: str, option: str, client: str) -> None:
        began = time.monotonic()
        answer = await self.run.call(None, "POST", "command/", json=_command("permission_response", requestId=name, optionId=option))
        accepted = answer.is_success and "result" in answer.json()
        if answer.is_success and not accepted:
            assert name in answer.json()["error"]["message"] or option == "perhaps"
        self.run.note(Kind.ANSWER, began, accepted, name, option, client=client)

    @rule(index=st.integers(0, 3), words=st.text(max_size=10))
    def append(self, index: int, words: str) -> None:
        """The agent server of this start writes, or one of an earlier start that still believes that it may."""
        self.do(self._append(index, words))

    async def _append(self, index: int, words: str) -> None:
        await self.run.agent()
        number = next(self.run._calls)
        text = json.dumps({"number": number, "words": words}, separators=(",", ":"))
        body = f'{{"entries":[{text}]}}'.encode()
        headers = {"Content-Type": "application/json"}
        if not self.run.tokens:
            await self.run.call(Kind.ENTRIES, "POST", "append_log/", text, content=body, headers=headers)
            return
        token, epoch = self.run.tokens[-1 - index % len(self.run.tokens)]
        authorised = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"{self.run.id}-{number}", **headers}
        await self.run.call(Kind.ENTRIES, "POST", "append_log/", text, epoch=epoch, content=body, headers=authorised)

    async def _set_output(self, agent: PlayedAgent) -> None:
        await self.run.call(None, "PATCH", "set_output/", json={"output": {"done": True}}, headers=agent.authorised)

    async def _lose_agent(self, agent: PlayedAgent) -> None:
        """Its agent server says so, and reports the run as failed."""
        await agent.take("/command", {"method": "close"})
        body = {"status": "failed", "end_reason": "agent_lost", "error_message": "The agent ended."}
        await self.run.call(None, "PATCH", "", json=body, headers=agent.authorised)

    async def _kill(self) -> None:
        """With everything in it, and the worker's watch sees it."""
        run, node = await self.run.row(), await self.run.holder()
        if run.execution.sandbox is not None and node is not None:
            self.stage.sandboxes.kill(run.execution.sandbox.id)
            ending = Ending(status=RunStatus.FAILED, reason=EndReason.SANDBOX_LOST, message="The sandbox ended.")
            await conclude_unless_ending(node, run, ending)

    async def _lose_machine(self, *, dies: bool, comes_back: bool) -> None:
        """The node of the run has been silent for too long: with its sandboxes dead, or only cut off, and sooner or later it is back."""
        lost, agent, before = await self.run.holder(), await self.run.agent(), set(self.run.messages)
        if lost is None:
            return
        if dies:
            for handle in [found.handle for found in await self.stage.sandboxes.find(str(lost.id))]:
                self.stage.sandboxes.kill(handle.id)
        (other,) = (node for node in self.stage.nodes if node is not lost)
        began = time.monotonic()
        async with self.stage.backends.database.statement() as tx:
            (beat,) = [beat for beat in await nodes.others(tx, other.id) if beat.id == lost.id]
        taken = await take_over(other, beat)
        await self.run.note_new_messages(began)
        for message_id in set(self.run.messages) - before:
            self.run.note(Kind.MOVE, began, True, message_id, client="server")  # what is asked again stands first
        if taken and agent is not None and not dies:
            assert not await agent.push({"words": "of a machine that was cut off"})
        if comes_back:
            await Leftovers().remove(lost, grace_seconds=0)

    def teardown(self) -> None:
        if hasattr(self, "run"):
            self.do(self._conclude())

    async def _conclude(self) -> None:
        """The run is ended where nobody has ended it, everything comes to rest, and all is looked at once more."""
        run = self.run
        await self._rest()
        if (await run.read_state())["status"] not in _TERMINAL:
            await run.call(Kind.END, "PATCH", "", json={"status": "cancelled"})
        await self._rest()
        for node in self.stage.nodes:
            await Leftovers().remove(node, grace_seconds=0)  # what a machine that was lost has left is removed once it is back
        run.history.append(Settled(at=time.monotonic(), client="machine"))
        await run.read_stream("last")
        await run.read_inbox()
        await run.read_logs()
        await run.read_state()
        self._note_leftovers(await run.row())
        report = check(run.history, Bounds(end_seconds=_LEAVE_SECONDS, leave_seconds=_LEAVE_SECONDS))
        assert report.held, "\n".join([*report.lines(), *(f"{n} {record}" for n, record in enumerate(run.history, 1))])

    async def _rest(self) -> None:
        for _ in range(_MOST_LOOKS):
            await self.run.look()
            await self._as_agent(lambda agent: agent.withdraw("session_ended"))
            await self._as_agent(lambda agent: agent.end_turn("end_turn"))
            wake_at = (await self.run.row()).execution.wake_at
            if wake_at is None or wake_at > self.stage.clock.now() + timedelta(seconds=10):
                return
            self.stage.clock.skew += timedelta(seconds=10)
        raise AssertionError("a run that does not come to rest")

    def _note_leftovers(self, row: TaskRun) -> None:
        folders = [node.folders(row.id) for node in self.stage.nodes]
        left = [f"sandbox {name}" for name, spec in self.stage.sandboxes.alive.items() if spec.name.startswith(self.run.id)]
        left += [str(folder) for each in folders for folder in (each.root, each.sockets) if folder.exists()]
        for what in left:
            self.run.history.append(Leftover(at=time.monotonic() + 2 * _LEAVE_SECONDS, client="machine", run=self.run.id, what=what))


def _command(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}


async def _all(work: list[Coroutine[Any, Any, Any]]) -> None:
    await asyncio.gather(*work)


@pytest.mark.timeout(600 + 10 * _EXAMPLES)
async def test_whatever_is_done_to_a_run_the_checker_refutes_nothing(served: Served) -> None:
    chosen = settings(
        max_examples=_EXAMPLES,
        stateful_step_count=_STEPS,
        deadline=None,
        database=None,
        derandomize=True,
        print_blob=True,
        phases=(Phase.generate, Phase.shrink) if _SHRINKS else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    with tempfile.TemporaryDirectory(prefix="hedgerow-machine-") as folder:
        async with stage(served, Path(folder)) as shared:
            machine = type("Bound", (Machine,), {"stage": shared, "loop": asyncio.get_running_loop()})
            await asyncio.to_thread(run_state_machine_as_test, machine, settings=chosen)
            _assert_reached([record for run in shared.runs.values() for record in run.history])


def _assert_reached(history: list[Record]) -> None:
    """The runs came to what they are about: agents heard messages and answers, and much of what can be told was told."""
    heard = {record.kind for record in history if isinstance(record, Heard)}
    assert heard == {Kind.MESSAGE, Kind.ANSWER}
    texts = "".join(record.text for record in history if isinstance(record, Frame))
    for words in ("delivered", "acknowledged", "failed", "moved", "removed"):
        assert f'"status":"{words}"' in texts, words
    assert "This run was taken over from a machine that is lost." in texts
    for words in ("request", "answered", "delivered"):
        assert f'"type":"permission_{words}"' in texts, words
