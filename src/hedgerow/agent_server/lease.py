"""The leave to act, which the node gives for a while at a time. An agent that is cut off stops once that is over."""

import asyncio
import contextlib
import json
from collections.abc import Callable

from hedgerow.agent_server.gate_client import GateClient, GateUnreachableError
from hedgerow.domain.clock import steady_seconds
from hedgerow.domain.nodes import pace_seconds

_PATH = "/lease"
_AGAIN_SECONDS = 0.25  # after an answer that did not come
_WAKING_SECONDS = 1.0  # what a node needs to report again, beyond its pace, where the whole machine has slept
_OK = 200


class Lease:
    """Asks for it while a turn runs. Between turns nothing is asked: an agent acts only on what comes through the gate."""

    def __init__(self, gate: GateClient, seconds: float | None, cut_off: Callable[[], None]) -> None:
        """`seconds`: how long a node may be silent; None: for ever. `cut_off` is called once that is over in a turn, or before one."""
        self._gate = gate
        self._seconds = seconds
        self._cut_off = cut_off
        self._granted = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    async def hold(self) -> None:
        """Return once the node has given leave, and keep asking from then on. Never returns where it is cut off instead."""
        if self._seconds is None:
            return
        self._granted.clear()
        self._keeping = asyncio.create_task(self._keep(self._seconds), name="lease")
        await self._granted.wait()

    def release(self) -> None:
        """No turn runs any more."""
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None
        self._gate.close()

    async def _keep(self, seconds: float) -> None:
        until = steady_seconds() + seconds
        while (now := steady_seconds()) < until:
            left = await self._ask(until - now)
            if left is not None:
                until = now + min(left, seconds)  # from the asking on: the answer may have been long under way
                self._granted.set()
            pause = pace_seconds(seconds) if left is not None else _AGAIN_SECONDS
            if await _overslept(max(0.0, min(pause, until - steady_seconds())), seconds / 2):
                until = max(until, steady_seconds() + pace_seconds(seconds) + _WAKING_SECONDS)
        self._cut_off()

    async def _ask(self, timeout_seconds: float) -> float | None:
        """For how many seconds the agent may go on; None where nobody says so."""
        with contextlib.suppress(GateUnreachableError, TimeoutError, ValueError, KeyError, TypeError):
            async with asyncio.timeout(timeout_seconds):
                answer = await self._gate.request("GET", _PATH, b"", {})
            if answer.status == _OK:
                return float(json.loads(answer.body)["seconds"])
        return None


async def _overslept(pause_seconds: float, tolerance_seconds: float) -> bool:
    """Pause; whether it took so much longer that the machine has slept, and the agent with it: then it may ask once more."""
    began = steady_seconds()
    await asyncio.sleep(pause_seconds)
    return steady_seconds() - began - pause_seconds > tolerance_seconds
