"""Slack against a workspace on the loopback."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from hedgerow.domain.relays import Thread
from hedgerow.integrations.base import MessengerError, MessengerOptions
from hedgerow.integrations.slack import SlackMessenger, escaped
from tests.integrations.fake_slack import (
    CHANNEL,
    THREAD_TS,
    TOKEN,
    FakeSlack,
    Fault,
    accept_and_cut,
    accept_and_hang,
    limited,
    refusal,
    status,
)

THREAD = Thread(CHANNEL, THREAD_TS)
SINCE = datetime(2023, 11, 14, tzinfo=UTC)


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as workspace:
        yield workspace


def messenger(slack: FakeSlack, timeout_seconds: float = 10.0) -> SlackMessenger:
    return SlackMessenger(MessengerOptions(slack_api_url=slack.url, timeout_seconds=timeout_seconds))


async def refused(slack: FakeSlack, fault: Fault, timeout_seconds: float = 10.0) -> MessengerError:
    slack.faults.append(fault)
    with pytest.raises(MessengerError) as caught:
        await messenger(slack, timeout_seconds).post(TOKEN, THREAD, "Hello", uuid4())
    assert TOKEN not in str(caught.value)
    return caught.value


async def test_a_token_tells_its_workspace(slack: FakeSlack) -> None:
    assert await messenger(slack).whose(TOKEN) == "Gardeners"
    with pytest.raises(MessengerError, match="invalid_auth") as caught:
        await messenger(slack).whose("xoxb-another")
    assert caught.value.permanent


async def test_a_text_is_posted_into_the_thread_and_alarms_nobody(slack: FakeSlack) -> None:
    relay_id = uuid4()
    ts = await messenger(slack).post(TOKEN, THREAD, "<!channel> a < b && @here <@U123>", relay_id)
    message = slack.messages[0]
    assert (message["ts"], message["thread_ts"], message["link_names"], message["unfurl_links"]) == (ts, THREAD_TS, False, False)
    assert message["text"] == "&lt;!channel&gt; a &lt; b &amp;&amp; @here &lt;@U123&gt;"
    assert message["metadata"]["event_payload"] == {"relay_id": str(relay_id)}


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://github.com/a/b/pull/7?x=1&y=2", "Pull request: <https://github.com/a/b/pull/7?x=1&amp;y=2>"),
        ("https://x.test/>|<!channel>", "Pull request: https://x.test/&gt;|&lt;!channel&gt;"),
        ("see <!here>", "Pull request: see &lt;!here&gt;"),
    ],
)
async def test_a_pull_request_is_shown_as_a_link_where_it_is_one(slack: FakeSlack, url: str, text: str) -> None:
    await messenger(slack).post(TOKEN, THREAD, url, uuid4(), link=True)
    assert slack.texts() == [text]


def test_a_text_that_slack_would_cut_in_the_middle_of_an_escape_is_cut_before() -> None:
    text = escaped("&" * 10_000)
    assert len(text) <= 40_000
    assert text.removesuffix("…").count("&amp;") * 5 == len(text) - 1


async def test_a_posted_message_is_found_on_whatever_page_it_stands(slack: FakeSlack) -> None:
    slack.page = 2
    ids = [uuid4() for _ in range(5)]
    stamps = [await messenger(slack).post(TOKEN, THREAD, "same words", relay_id) for relay_id in ids]
    assert [await messenger(slack).find(TOKEN, THREAD, relay_id, SINCE) for relay_id in ids] == stamps
    assert await messenger(slack).find(TOKEN, THREAD, uuid4(), SINCE) is None
    assert await messenger(slack).find(TOKEN, Thread(CHANNEL, "1600000000.000000"), ids[0], SINCE) is None


async def test_a_thread_without_end_is_looked_through_only_so_far(slack: FakeSlack) -> None:
    slack.page = 1
    for _ in range(51):
        await messenger(slack).post(TOKEN, THREAD, "again", uuid4())
    with pytest.raises(MessengerError, match="too long") as caught:
        await messenger(slack).find(TOKEN, THREAD, uuid4(), SINCE)
    assert caught.value.permanent


async def test_a_limit_says_when_to_come_again(slack: FakeSlack) -> None:
    problem = await refused(slack, limited("37"))
    assert (problem.permanent, problem.doubtful, problem.retry_after_seconds) == (False, False, 37.0)
    assert (await refused(slack, limited("soon"))).retry_after_seconds is None
    assert not slack.messages


@pytest.mark.parametrize(
    ("fault", "permanent", "doubtful", "words"),
    [
        (refusal("channel_not_found"), True, False, "channel_not_found"),
        (refusal("not_in_channel"), True, False, "not_in_channel"),
        (refusal("missing_scope", needed="chat:write"), True, False, "missing_scope, needs the scope chat:write"),
        (refusal("service_unavailable"), False, False, "service_unavailable"),
        (refusal("internal_error"), False, True, "internal_error"),
        (status(500), False, True, "status 500"),
        (status(503, "later", "text/plain"), False, True, "status 503"),
        (status(404), True, False, "status 404"),
        (status(200, "hello", "text/plain"), False, True, "cannot be understood"),
        (status(200, "{broken", "application/json"), False, True, "cannot be understood"),
        (status(200, "[1]", "application/json"), False, True, "cannot be understood"),
        (status(200, "null", "application/json"), False, True, "cannot be understood"),
    ],
)
async def test_a_refusal_is_told_from_a_doubt(slack: FakeSlack, fault: Fault, permanent: bool, doubtful: bool, words: str) -> None:
    problem = await refused(slack, fault)
    assert (problem.permanent, problem.doubtful) == (permanent, doubtful)
    assert words in problem.message
    assert slack.calls == ["chat.postMessage"]


async def test_a_connection_that_breaks_leaves_a_doubt(slack: FakeSlack) -> None:
    problem = await refused(slack, accept_and_cut)
    assert (problem.permanent, problem.doubtful) == (False, True)
    assert len(slack.messages) == 1


async def test_an_answer_that_does_not_come_leaves_a_doubt(slack: FakeSlack) -> None:
    problem = await refused(slack, accept_and_hang, timeout_seconds=0.3)
    assert (problem.permanent, problem.doubtful) == (False, True)
    assert "within 0.3 seconds" in problem.message


async def test_what_nobody_listens_to_was_certainly_not_posted() -> None:
    async with FakeSlack() as gone:
        pass
    with pytest.raises(MessengerError, match="cannot be reached") as caught:
        await messenger(gone).post(TOKEN, THREAD, "Hello", uuid4())
    assert (caught.value.permanent, caught.value.doubtful) == (False, False)


async def test_a_proxy_of_the_environment_does_not_stand_before_what_needs_none(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert await messenger(slack).whose(TOKEN) == "Gardeners"
