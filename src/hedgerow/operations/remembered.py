"""What a service outside has answered, kept for a while, so that it is asked once and not by everybody."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from hedgerow.domain.clock import Clock

Answer = TypeVar("Answer")

_MOST = 100  # a list of five thousand repositories takes about a megabyte


@dataclass(frozen=True, slots=True)
class Dated(Generic[Answer]):
    """An answer, and until when it is good."""

    answer: Answer = field(repr=False)
    good_until: datetime


@dataclass(slots=True)
class Remembered(Generic[Answer]):
    """Answers by question, in the memory of this process; of more than a hundred the oldest goes."""

    _found: OrderedDict[Hashable, tuple[int, Dated[Answer]]] = field(default_factory=OrderedDict, repr=False)
    _locks: WeakValueDictionary[Hashable, asyncio.Lock] = field(default_factory=WeakValueDictionary, repr=False)
    _turns: Iterator[int] = field(default_factory=lambda: count(1), repr=False)

    async def get(self, question: Hashable, ask: Callable[[], Awaitable[Dated[Answer]]], clock: Clock, *, renew: bool = False) -> Answer:
        """The answer that is remembered; without a good one, or with `renew`, it is asked for, once for all who wait for it.

        Raises what `ask` raises; then nothing is remembered, and an earlier answer stays.
        """
        turn = next(self._turns)
        lock = self._locks.get(question)
        if lock is None:
            lock = self._locks[question] = asyncio.Lock()
        async with lock:
            asked, found = self._found.get(question, (0, None))
            if found is not None and found.good_until > clock.now() and (asked > turn or not renew):
                return found.answer
            asked, answer = next(self._turns), await ask()
            self._found[question] = (asked, answer)
            self._found.move_to_end(question)
            while len(self._found) > _MOST:
                self._found.popitem(last=False)
            return answer.answer
