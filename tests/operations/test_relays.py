"""What is queued for threads of Slack, and how it gets there."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from hedgerow.db import journal, relays
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.errors import ForbiddenError, InvalidError, NotFoundError, UnavailableError
from hedgerow.domain.masking import Mask
from hedgerow.domain.relays import Relay, RelayStatus
from hedgerow.domain.runs import RunStatus, TaskRun
from hedgerow.integrations.base import MessengerOptions
from hedgerow.integrations.slack import SlackMessenger
from hedgerow.operations import integrations
from hedgerow.operations import slack as slack_operations
from hedgerow.operations.backends import Backends
from hedgerow.operations.outputs import set_output
from hedgerow.operations.relay_delivery import deliver_due
from hedgerow.operations.relays import relay_message
from hedgerow.operations.run_updates import RunPatch, update_run
from tests.integrations.fake_slack import (
    CHANNEL,
    PERMALINK,
    TOKEN,
    FakeSlack,
    Fault,
    accept_and_cut,
    accept_and_hang,
    hang,
    limited,
    refusal,
    status,
)
from tests.operations.conftest import Desk, new_desk

OTHER_TOKEN = "xoxb-the-token-of-one-project"
TEN_MINUTES = timedelta(minutes=10)


@dataclass(frozen=True)
class Office:
    """A person in a project, with a Slack whose faults the test decides."""

    desk: Desk
    slack: FakeSlack
    clock: FixedClock

    async def told_run(self, **state: Any) -> TaskRun:
        """A run that is told in the thread of the tests."""
        return await self.patch(await self.desk.run(), state={"slack_thread_url": PERMALINK, **state})

    async def patch(self, run: TaskRun, **changes: Any) -> TaskRun:
        """What a person changes."""
        return await update_run(self.desk.backends, self.desk.caller, self.desk.project, run.task_id, run.id, RunPatch(**changes))

    async def relay(self, run: TaskRun, text: str = "Done.") -> UUID | None:
        """What the agent says."""
        return await relay_message(self.desk.backends, self.desk.agent(run), self.desk.project, run.task_id, run.id, text)

    async def relays(self, run: TaskRun) -> list[Relay]:
        """What was queued for a run."""
        async with self.desk.backends.database.statement() as tx:
            return await relays.of_run(tx, run.id)

    async def only(self, run: TaskRun) -> Relay:
        """The one relay of a run."""
        (relay,) = await self.relays(run)
        return relay

    async def console(self, run: TaskRun) -> list[str]:
        """What the server says in the run's journal."""
        async with self.desk.backends.database.statement() as tx:
            events = [json.loads(event.text) for event in await journal.read(tx, run.id, 0)]
        messages = [event["notification"] for event in events if event["type"] == "notification"]
        return [message["params"]["message"] for message in messages if message["method"] == "_posthog/console"]

    def at(self, **rules: Any) -> "Office":
        """The same office under other rules."""
        return replace(self, desk=self.desk.with_rules(**rules))

    async def deliver(self) -> int:
        """A worker's round."""
        return await deliver_due(self.desk.backends)


@pytest_asyncio.fixture(loop_scope="session")
async def office(backends: Backends, fixed_clock: FixedClock) -> AsyncIterator[Office]:
    rules = replace(backends.rules, slack_bot_token=TOKEN, slack_timeout_seconds=5, slack_attempts=4)
    async with backends.database.transaction() as tx:
        await tx.connection.execute("DELETE FROM relays")  # a round posts whatever is due, of other tests as well
    async with FakeSlack() as slack:
        own = replace(backends, clock=fixed_clock, rules=rules, messenger=messenger(slack))
        yield Office(await new_desk(own), slack, fixed_clock)


def messenger(slack: FakeSlack, timeout_seconds: float = 5.0) -> SlackMessenger:
    return SlackMessenger(MessengerOptions(slack_api_url=slack.url, timeout_seconds=timeout_seconds))


# What is queued.


async def test_a_message_of_a_run_with_a_thread_is_queued_and_posted_once(office: Office) -> None:
    run = await office.told_run()
    relay_id = await office.relay(run, "The fence stands.")
    assert await office.deliver() == 1
    assert await office.deliver() == 0
    assert office.slack.texts() == ["The fence stands."]
    relay = await office.only(run)
    assert (relay.id, relay.status, relay.attempts, relay.message_ts) == (relay_id, RelayStatus.SENT, 1, office.slack.messages[0]["ts"])
    assert (await office.desk.fresh(run)).state["slack_sent_relay_ids"] == [str(relay_id)]
    assert office.slack.calls == ["chat.postMessage"]


async def test_without_a_thread_or_a_token_or_after_its_end_a_run_says_nothing(office: Office) -> None:
    silent = await office.desk.run()
    assert await office.relay(silent) is None
    nonsense = await office.patch(silent, state={"slack_thread_url": "https://example.test/thread"})
    assert await office.relay(nonsense) is None
    told = await office.told_run()
    assert await office.at(slack_bot_token=None).relay(told) is None
    ended = await office.patch(told, status=RunStatus.COMPLETED)
    assert await office.relay(ended) is None
    assert await office.deliver() == 0
    assert not office.slack.calls


async def test_the_thread_of_the_task_stands_in_where_the_run_names_none(office: Office) -> None:
    desk = office.desk
    run = await desk.run()
    mapped = await slack_operations.map_thread(desk.backends, desk.caller, desk.project, run.task_id, PERMALINK)
    assert mapped.thread.channel == CHANNEL
    assert await office.relay(run) is not None
    office.slack.channels.add("C9999")
    other = await office.patch(run, state={"slack_thread_url": "https://team.slack.com/archives/C9999/p1700000000000100"})
    assert await office.relay(other, "Elsewhere.") is not None
    await office.deliver()
    assert (office.slack.texts(), office.slack.texts("C9999")) == (["Done."], ["Elsewhere."])
    await slack_operations.unmap_thread(desk.backends, desk.caller, desk.project, run.task_id)
    with pytest.raises(NotFoundError):
        await slack_operations.unmap_thread(desk.backends, desk.caller, desk.project, run.task_id)


async def test_another_runs_agent_and_one_that_was_replaced_may_not_speak(office: Office) -> None:
    desk, run, other = office.desk, await office.told_run(), await office.told_run()
    for caller in (desk.agent(other), desk.agent(run, epoch=7)):
        with pytest.raises(ForbiddenError):
            await relay_message(desk.backends, caller, desk.project, run.task_id, run.id, "Hello")
    with pytest.raises(NotFoundError):
        await relay_message(desk.backends, desk.caller, desk.project, run.task_id, uuid4(), "Hello")
    assert not await office.relays(run)


async def test_an_agent_does_not_choose_where_its_words_go(office: Office) -> None:
    desk, run = office.desk, await office.told_run()
    elsewhere = {"slack_thread_url": "https://team.slack.com/archives/C9999/p1700000000000100", "interaction_origin": "slack", "a": 1}
    patch = RunPatch(state=elsewhere, state_remove_keys=("slack_thread_url",))
    changed = await update_run(desk.backends, desk.agent(run), desk.project, run.task_id, run.id, patch)
    assert (changed.state["slack_thread_url"], changed.state["a"]) == (PERMALINK, 1)
    assert "interaction_origin" not in changed.state


async def test_a_known_secret_is_not_told(office: Office) -> None:
    run = await office.told_run()
    await office.at(mask=Mask(["sk-a-key-of-a-model"])).relay(run, "The key is sk-a-key-of-a-model.")
    await office.deliver()
    assert "sk-a-key" not in office.slack.texts()[0]


async def test_no_more_waits_of_a_run_than_may(office: Office) -> None:
    full, other = await office.told_run(), await office.told_run()
    narrow = office.at(slack_waiting=2)
    assert await narrow.relay(full) is not None
    assert await narrow.relay(full) is not None
    with pytest.raises(UnavailableError, match="2 messages of this run wait"):
        await narrow.relay(full)
    changed = await narrow.patch(full, output={"pr_url": "https://x.test/1"})
    assert (changed.output, "slack_notified_pr_url" in changed.state) == ({"pr_url": "https://x.test/1"}, False)
    assert await narrow.relay(other) is not None
    await office.deliver()
    assert await narrow.relay(full) is not None


# Pull requests.


async def test_a_new_pull_request_is_told_once(office: Office) -> None:
    run = await office.told_run()
    url = "https://github.com/acme/garden/pull/7"
    changed = await office.patch(run, output={"pr_url": url})
    assert changed.state["slack_notified_pr_url"] == url
    await office.patch(run, output={"pr_url": url, "more": 1})
    desk = office.desk
    await set_output(desk.backends, desk.caller, desk.project, run.task_id, run.id, {"pr_url": url})
    await office.patch(run, output={"pr_url": url + "1"})
    changed = await office.patch(run, output={"pr_url": url})
    assert changed.state["slack_notified_pr_url"] == url, "the one that the thread was told of, and that the run has now"
    await office.deliver()
    assert office.slack.texts() == [f"Pull request: <{url}>", f"Pull request: <{url}1>"]
    assert len((await desk.fresh(run)).state["slack_sent_relay_ids"]) == 2


async def test_an_output_tells_its_pull_request_also_after_the_end(office: Office) -> None:
    desk, run = office.desk, await office.told_run()
    await office.patch(run, status=RunStatus.COMPLETED)
    changed = await set_output(desk.backends, desk.caller, desk.project, run.task_id, run.id, {"pr_url": "https://x.test/1"})
    assert changed.state["slack_notified_pr_url"] == "https://x.test/1"
    await office.deliver()
    assert office.slack.texts() == ["Pull request: <https://x.test/1>"]


async def test_a_pull_request_without_a_thread_is_told_once_there_is_one(office: Office) -> None:
    run = await office.desk.run()
    changed = await office.patch(run, output={"pr_url": "https://x.test/1"})
    assert "slack_notified_pr_url" not in changed.state
    changed = await office.patch(run, output={"pr_url": "https://x.test/2"}, state={"slack_thread_url": PERMALINK})
    assert changed.state["slack_notified_pr_url"] == "https://x.test/2"


async def test_slack_never_fails_a_patch(office: Office) -> None:
    run = await office.told_run()
    closed = office.at(secrets=(b"another secret key of this hedgerow",))
    await office.desk.backends.messenger.whose(TOKEN)
    desk = office.desk
    office.slack.tokens[OTHER_TOKEN] = "One project"
    await slack_operations.connect_slack(desk.backends, project_id=desk.project.id, token=OTHER_TOKEN)
    changed = await closed.patch(run, output={"pr_url": "x\x00\ud800<y>"})
    assert changed.output == {"pr_url": "x\x00\ud800<y>"}
    await closed.deliver()
    relay = await office.only(run)
    assert (relay.status, relay.doubtful) == (RelayStatus.QUEUED, False)
    assert relay.error is not None
    assert "another HEDGEROW_SECRET_KEY" in relay.error
    office.clock.advance(TEN_MINUTES)
    await office.deliver()
    assert (await office.only(run)).status is RelayStatus.SENT


# Tokens.


async def test_the_projects_own_token_stands_above_the_operators(office: Office) -> None:
    desk = office.desk
    office.slack.tokens = {OTHER_TOKEN: "One project"}
    made = await slack_operations.connect_slack(desk.backends, project_id=desk.project.id, token=f" {OTHER_TOKEN}\n")
    assert made.display_name == "One project"
    office.slack.tokens["xoxb-newer"] = "The newer one"
    newer = await slack_operations.connect_slack(desk.backends, project_id=desk.project.id, token="xoxb-newer")
    assert await integrations.of_project(desk.backends, desk.project.id) == [newer]
    office.slack.tokens.pop(OTHER_TOKEN)
    run = await office.told_run()
    without = office.at(slack_bot_token=None)
    assert await without.relay(run) is not None
    await without.deliver()
    assert (await office.only(run)).status is RelayStatus.SENT
    assert await slack_operations.disconnect_slack(desk.backends, project_id=desk.project.id) == 1
    assert await without.relay(run) is None
    with pytest.raises(NotFoundError):
        await slack_operations.disconnect_slack(desk.backends, project_id=desk.project.id)


async def test_two_tokens_at_once_leave_one(office: Office) -> None:
    desk = office.desk
    office.slack.tokens |= {OTHER_TOKEN: "One project", "xoxb-newer": "The newer one"}
    await asyncio.gather(
        *(
            slack_operations.connect_slack(desk.backends, project_id=desk.project.id, token=token)
            for token in (OTHER_TOKEN, "xoxb-newer", OTHER_TOKEN, "xoxb-newer")
        )
    )
    assert len(await integrations.of_project(desk.backends, desk.project.id)) == 1


@pytest.mark.parametrize("token", ["", "two words", "xoxb-\x00", "xoxb-ö", "xoxb-unknown"])
async def test_a_token_that_slack_does_not_take_is_not_stored(office: Office, token: str) -> None:
    desk = office.desk
    with pytest.raises(InvalidError) as caught:
        await slack_operations.connect_slack(desk.backends, project_id=desk.project.id, token=token)
    assert "xoxb-unknown" not in caught.value.message
    with pytest.raises(NotFoundError):
        await slack_operations.disconnect_slack(desk.backends, project_id=desk.project.id)
    with pytest.raises(NotFoundError):
        await slack_operations.connect_slack(desk.backends, project_id=10**6, token=TOKEN)


# Delivery.


async def test_the_messages_of_a_run_stay_in_order_whatever_befalls_the_first(office: Office) -> None:
    run, other = await office.told_run(), await office.told_run()
    office.slack.faults.append(limited("60"))
    for text in ("one", "two", "three"):
        await office.relay(run, text)
    await office.relay(other, "of another run")
    office.clock.advance(timedelta(seconds=1))
    await office.deliver()
    assert office.slack.texts() in (["of another run"], ["one", "two", "three"])
    office.clock.advance(timedelta(seconds=60))
    await office.deliver()
    texts = office.slack.texts()
    assert [text for text in texts if text != "of another run"] == ["one", "two", "three"]
    assert len(texts) == 4


async def test_a_limit_is_waited_for(office: Office) -> None:
    run = await office.told_run()
    office.slack.faults.append(limited("90"))
    await office.relay(run)
    assert await office.deliver() == 1
    relay = await office.only(run)
    assert (relay.attempt_at - office.clock.now(), relay.doubtful) == (timedelta(seconds=90), False)
    office.clock.advance(timedelta(seconds=89))
    assert await office.deliver() == 0
    office.clock.advance(timedelta(seconds=1))
    assert await office.deliver() == 1
    assert office.slack.texts() == ["Done."]
    assert office.slack.calls == ["chat.postMessage"] * 2, "nothing was in doubt, so nobody had to look"


@pytest.mark.parametrize("fault", [accept_and_cut, accept_and_hang], ids=["cut", "silence"])
async def test_a_message_that_went_through_unheard_is_not_posted_again(office: Office, fault: Fault) -> None:
    run = await office.told_run()
    office = replace(office, desk=replace(office.desk, backends=replace(office.desk.backends, messenger=messenger(office.slack, 0.3))))
    office.slack.faults.append(fault)
    await office.relay(run)
    await office.deliver()
    assert (await office.only(run)).doubtful
    office.clock.advance(TEN_MINUTES)
    await office.deliver()
    relay = await office.only(run)
    assert (relay.status, relay.attempts, relay.message_ts) == (RelayStatus.SENT, 2, office.slack.messages[0]["ts"])
    assert office.slack.texts() == ["Done."]
    assert office.slack.calls == ["chat.postMessage", "conversations.replies"]


@pytest.mark.parametrize("fault", [status(500), refusal("fatal_error")], ids=["500", "fatal_error"])
async def test_a_message_that_did_not_go_through_is_posted_after_a_look(office: Office, fault: Fault) -> None:
    run = await office.told_run()
    office.slack.faults.append(fault)
    await office.relay(run)
    await office.deliver()
    office.clock.advance(TEN_MINUTES)
    await office.deliver()
    assert office.slack.texts() == ["Done."]
    assert office.slack.calls == ["chat.postMessage", "conversations.replies", "chat.postMessage"]


async def test_a_look_that_fails_leaves_the_doubt(office: Office) -> None:
    run = await office.told_run()
    office.slack.faults.append(accept_and_cut)
    office.slack.look_faults.extend([limited("700"), status(500)])
    await office.relay(run)
    for _ in range(3):
        await office.deliver()
        assert (await office.only(run)).doubtful
        office.clock.advance(timedelta(minutes=12))
    await office.deliver()
    assert (await office.only(run)).status is RelayStatus.SENT
    assert office.slack.texts() == ["Done."]


async def test_a_doubt_that_nobody_may_settle_ends_the_attempts(office: Office) -> None:
    run = await office.told_run()
    office.slack.faults.append(accept_and_cut)
    office.slack.look_faults.append(refusal("missing_scope", needed="channels:history"))
    await office.relay(run)
    await office.deliver()
    office.clock.advance(TEN_MINUTES)
    await office.deliver()
    relay = await office.only(run)
    assert relay.status is RelayStatus.FAILED
    assert (relay.error or "").endswith("needs the scope channels:history. It is not known whether it was posted.")
    assert office.slack.texts() == ["Done."]


async def test_a_refusal_for_good_is_told_in_the_journal_and_the_next_message_goes_on(office: Office) -> None:
    run = await office.told_run()
    office.slack.faults.append(refusal("not_in_channel"))
    await office.relay(run, "one")
    await office.relay(run, "two")
    await office.deliver()
    first, second = await office.relays(run)
    assert (first.status, first.error, second.status) == (RelayStatus.FAILED, "Slack refuses: not_in_channel.", RelayStatus.SENT)
    assert await office.console(run) == ["A message could not be posted to Slack, after 1 attempt: Slack refuses: not_in_channel."]
    assert TOKEN not in repr(office.desk.backends)


async def test_attempts_have_an_end(office: Office) -> None:
    run = await office.told_run()
    office.slack.faults.extend([status(502)] * 4)
    await office.relay(run)
    for _ in range(6):
        await office.deliver()
        office.clock.advance(TEN_MINUTES)
    relay = await office.only(run)
    assert (relay.status, relay.attempts) == (RelayStatus.FAILED, 4)
    assert not office.slack.texts()
    (line,) = await office.console(run)
    assert line.startswith("A message could not be posted to Slack, after 4 attempts: Slack has a problem of its own (status 502).")


async def test_two_workers_at_once_post_everything_once(office: Office) -> None:
    runs = [await office.told_run() for _ in range(4)]
    for number in range(5):
        for run in runs:
            await office.relay(run, f"{run.id} {number}")
    await asyncio.gather(*(office.deliver() for _ in range(4)))
    assert len(office.slack.texts()) == 20
    for run in runs:
        assert [text for text in office.slack.texts() if text.startswith(str(run.id))] == [f"{run.id} {number}" for number in range(5)]
    assert office.slack.calls == ["chat.postMessage"] * 20


async def test_what_one_worker_is_posting_another_leaves_alone(office: Office) -> None:
    run = await office.told_run()
    office.slack.faults.append(accept_and_hang)
    await office.relay(run)
    first = asyncio.create_task(office.deliver())
    await office.slack.posted.wait()
    assert await office.deliver() == 0
    office.slack.release.set()
    assert await first == 1
    assert (await office.only(run)).status is RelayStatus.SENT
    assert office.slack.calls == ["chat.postMessage"]


async def test_a_worker_that_comes_back_late_undoes_nothing(office: Office) -> None:
    run = await office.told_run()
    office.slack.faults.append(hang)
    await office.relay(run)
    late = asyncio.create_task(office.deliver())
    await office.slack.called.wait()
    office.clock.advance(TEN_MINUTES)
    assert await office.deliver() == 1
    office.slack.release.set()
    await late
    relay = await office.only(run)
    assert (relay.status, relay.attempts, relay.error) == (RelayStatus.SENT, 2, None)
    assert office.slack.texts() == ["Done."]


_WORKER = """
import asyncio, sys
import httpx
from hedgerow.db.database import Database
from hedgerow.domain.clock import FixedClock
from hedgerow.integrations.base import MessengerOptions
from hedgerow.integrations.slack import SlackMessenger
from hedgerow.operations.backends import Backends, Rules
from hedgerow.operations.relay_delivery import deliver_due
from datetime import datetime

async def main(url, slack_url, now, token):
    database = Database(url, pool_size=2)
    await database.open()
    rules = Rules(secrets=(b"x",), public_url="http://x", slack_bot_token=token)
    messenger = SlackMessenger(MessengerOptions(slack_api_url=slack_url))
    clock = FixedClock(datetime.fromisoformat(now))
    rest = {"hub": None, "jobs": None, "storage": None, "http": None}
    await deliver_due(Backends(database=database, clock=clock, rules=rules, messenger=messenger, **rest))

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_worker_that_is_killed_between_the_post_and_its_note_posts_nothing_twice(office: Office) -> None:
    run = await office.told_run()
    await office.relay(run)
    office.slack.faults.append(accept_and_hang)
    url, now = office.desk.backends.database.url, office.clock.now().isoformat()
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", _WORKER, url, office.slack.url, now, TOKEN)
    async with asyncio.timeout(30):
        await office.slack.posted.wait()
    os.kill(worker.pid, signal.SIGKILL)
    await worker.wait()
    assert await office.deliver() == 0, "it counts as under way until its time is over"
    office.clock.advance(TEN_MINUTES)
    assert await office.deliver() == 1
    relay = await office.only(run)
    assert (relay.status, relay.message_ts) == (RelayStatus.SENT, office.slack.messages[0]["ts"])
    assert office.slack.texts() == ["Done."]


async def test_a_round_that_is_cut_off_posts_nothing_twice(office: Office) -> None:
    run = await office.told_run()
    await office.relay(run)
    office.slack.faults.append(accept_and_hang)
    cut = asyncio.create_task(office.deliver())
    await office.slack.posted.wait()
    cut.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cut
    office.clock.advance(TEN_MINUTES)
    await office.deliver()
    assert ((await office.only(run)).status, office.slack.texts()) == (RelayStatus.SENT, ["Done."])
