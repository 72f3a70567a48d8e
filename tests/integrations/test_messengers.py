"""What every messenger of the table promises."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from hedgerow.domain.relays import Thread
from hedgerow.integrations import MESSENGERS
from hedgerow.integrations.base import Messenger, MessengerOptions
from tests.integrations.fake_slack import CHANNEL, THREAD_TS, TOKEN, FakeSlack

THREAD = Thread(CHANNEL, THREAD_TS)
SINCE = datetime(2023, 11, 14, tzinfo=UTC)


@pytest.fixture(params=sorted(MESSENGERS))
async def messenger(request: pytest.FixtureRequest) -> AsyncIterator[Messenger]:
    async with FakeSlack() as slack:
        yield MESSENGERS[request.param](MessengerOptions(slack_api_url=slack.url))


async def test_what_was_posted_is_found_by_its_relay_and_in_its_thread_alone(messenger: Messenger) -> None:
    first, second = uuid4(), uuid4()
    stamps = [await messenger.post(TOKEN, THREAD, "Hello", relay_id) for relay_id in (first, second)]
    assert len(set(stamps)) == 2
    assert [await messenger.find(TOKEN, THREAD, relay_id, SINCE) for relay_id in (first, second)] == stamps
    assert await messenger.find(TOKEN, THREAD, uuid4(), SINCE) is None
    assert await messenger.find(TOKEN, Thread(CHANNEL, "1.000000"), first, SINCE) is None


async def test_a_messenger_tells_whose_token_it_has(messenger: Messenger) -> None:
    assert await messenger.whose(TOKEN)
