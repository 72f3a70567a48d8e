"""Permalinks, pauses and texts of relays."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from hedgerow.domain.relays import LONGEST_RELAY, Thread, new_pull_request, pause_after, shortened, thread_of, with_sent

ARCHIVES = "https://team.slack.com/archives"


@pytest.mark.parametrize(
    ("url", "thread"),
    [
        (f"{ARCHIVES}/C0123ABCD/p1700000000000100", Thread("C0123ABCD", "1700000000.000100")),
        (f" {ARCHIVES}/C0123ABCD/p1700000009000200?thread_ts=1700000000.000100&cid=C0123ABCD ", Thread("C0123ABCD", "1700000000.000100")),
        ("https://big.enterprise.slack.com/archives/G0123ABCD/p1700000000000100/", Thread("G0123ABCD", "1700000000.000100")),
        ("https://team.slack-gov.com/archives/D0123ABCD/p1700000000000100", Thread("D0123ABCD", "1700000000.000100")),
    ],
)
def test_a_permalink_leads_to_its_thread(url: str, thread: Thread) -> None:
    assert thread_of(url) == thread


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        "",
        "C0123ABCD",
        "http://team.slack.com/archives/C0123ABCD/p1700000000000100",
        "https://team.slack.com.evil.test/archives/C0123ABCD/p1700000000000100",
        "https://evilslack.com/archives/C0123ABCD/p1700000000000100",
        f"{ARCHIVES}/C0123ABCD",
        f"{ARCHIVES}/C0123ABCD/1700000000000100",
        f"{ARCHIVES}/general/p1700000000000100",
        f"{ARCHIVES}/C0123ABCD/p1700000000000100?thread_ts=yesterday",
        f"{ARCHIVES}/C0123ABCD/p1700000000000100/more",
        "https://[team.slack.com/archives/C0123ABCD/p1700000000000100",
        f"{ARCHIVES}/C0123ABCD/p1700000000000100?{'x' * 3000}",
    ],
)
def test_anything_else_leads_nowhere(url: Any) -> None:
    assert thread_of(url) is None


@pytest.mark.parametrize(
    ("before", "after", "state", "news"),
    [
        (None, {"pr_url": "https://x/1"}, {}, "https://x/1"),
        ({"pr_url": "https://x/1"}, {"pr_url": "https://x/1"}, {}, None),
        ({"pr_url": "https://x/1"}, {"pr_url": "https://x/2"}, {}, "https://x/2"),
        (None, {"pr_url": "https://x/1"}, {"slack_notified_pr_url": "https://x/1"}, None),
        ([1], {"pr_url": " https://x/1 "}, {}, "https://x/1"),
        (None, {"pr_url": "  "}, {}, None),
        (None, {"pr_url": 5}, {}, None),
        (None, {"pr_url": "https://x/" + "1" * 3000}, {}, None),
        (None, "https://x/1", {}, None),
        (None, None, {}, None),
    ],
)
def test_a_pull_request_is_news_once(before: Any, after: Any, state: dict[str, Any], news: str | None) -> None:
    assert new_pull_request(before, after, state) == news


def test_pauses_grow_to_five_minutes_and_heed_what_was_asked() -> None:
    assert [pause_after(n).total_seconds() for n in (1, 2, 3, 9, 10, 1000)] == [1, 2, 4, 256, 300, 300]
    assert pause_after(1, 30) == timedelta(seconds=30)
    assert pause_after(5, 2) == timedelta(seconds=16)
    assert pause_after(1, float("inf")) == timedelta(days=1)


def test_a_long_text_loses_its_beginning() -> None:
    assert shortened("  short ") == "short"
    long = shortened("a" * LONGEST_RELAY + "the end")
    assert (len(long), long[:5], long[-7:]) == (LONGEST_RELAY, "[…]\n\n", "the end")
    assert shortened("a\x00b\ud800c") == "a\ufffdb\ufffdc"


def test_only_the_latest_relays_stay_named() -> None:
    state: dict[str, Any] = {"slack_sent_relay_ids": "nonsense", "mode": "interactive"}
    last = uuid4()
    for _ in range(250):
        state = with_sent(state, uuid4())
    state = with_sent(state, last)
    assert (len(state["slack_sent_relay_ids"]), state["slack_sent_relay_ids"][-1], state["mode"]) == (200, str(last), "interactive")
