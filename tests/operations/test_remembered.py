import asyncio
from datetime import timedelta

import pytest

from hedgerow.domain.clock import FixedClock
from hedgerow.domain.errors import UnavailableError
from hedgerow.operations.remembered import Dated, Remembered

AN_HOUR = timedelta(hours=1)


class Source:
    """Something that is asked, and counts how often."""

    def __init__(self, clock: FixedClock) -> None:
        self._clock = clock
        self.asked = 0
        self.failing = False

    async def ask(self) -> Dated[int]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.failing:
            raise UnavailableError("not now")
        return Dated(self.asked, self._clock.now() + AN_HOUR)


async def test_those_who_wait_share_a_question(fixed_clock: FixedClock) -> None:
    remembered, source = Remembered[int](), Source(fixed_clock)
    answers = await asyncio.gather(*(remembered.get("q", source.ask, fixed_clock) for _ in range(5)))
    renewed = await asyncio.gather(*(remembered.get("q", source.ask, fixed_clock, renew=True) for _ in range(5)))
    # Who comes when a question is out already wants to know what is true from then on: all of those share the next one.
    assert (answers, renewed, source.asked) == ([1] * 5, [2, 3, 3, 3, 3], 3)


async def test_an_answer_is_asked_for_again_once_it_is_old(fixed_clock: FixedClock) -> None:
    remembered, source = Remembered[int](), Source(fixed_clock)
    assert await remembered.get("q", source.ask, fixed_clock) == 1
    fixed_clock.advance(AN_HOUR - timedelta(seconds=1))
    assert await remembered.get("q", source.ask, fixed_clock) == 1
    fixed_clock.advance(timedelta(seconds=1))
    assert await remembered.get("q", source.ask, fixed_clock) == 2


async def test_whoever_waits_behind_one_that_fails_or_leaves_asks_anew(fixed_clock: FixedClock) -> None:
    remembered, source = Remembered[int](), Source(fixed_clock)
    source.failing = True
    for failed in await asyncio.gather(*(remembered.get("q", source.ask, fixed_clock) for _ in range(2)), return_exceptions=True):
        assert isinstance(failed, UnavailableError)
    source.failing = False
    first = asyncio.create_task(remembered.get("q", source.ask, fixed_clock))
    second = asyncio.create_task(remembered.get("q", source.ask, fixed_clock))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await second, source.asked) == (4, 4)


async def test_of_too_many_answers_the_oldest_goes(fixed_clock: FixedClock) -> None:
    remembered, source = Remembered[int](), Source(fixed_clock)
    for question in range(101):
        await remembered.get(question, source.ask, fixed_clock)
    assert await remembered.get(100, source.ask, fixed_clock) == 101
    assert await remembered.get(0, source.ask, fixed_clock) == 102
