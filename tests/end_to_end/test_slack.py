"""What an agent says reaches a thread of Slack, through every floor."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from tests.end_to_end.house import House, Run
from tests.integrations.fake_slack import CHANNEL, PERMALINK, THREAD_TS, FakeSlack

PROJECTS_TOKEN = "xoxb-of-the-project"


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    """A workspace that is served beside the test."""
    serving: Future[FakeSlack] = Future()
    leave = threading.Event()

    async def serve() -> None:
        async with FakeSlack(tokens={PROJECTS_TOKEN: "Gardeners"}) as workspace:
            serving.set_result(workspace)
            await asyncio.to_thread(leave.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    yield serving.result(timeout=10)
    leave.set()
    thread.join(timeout=10)


def test_an_agents_words_are_told_in_the_thread_of_its_task(make_house: Callable[..., House], slack: FakeSlack) -> None:
    settings = {"HEDGEROW_SLACK_API_URL": slack.url, "HEDGEROW_SANDBOX": "process"}
    house = make_house(**settings)
    house.up()
    refused = house.command("admin", "connect-slack", "--project", "1", SLACK_BOT_TOKEN="xoxb-wrong", **settings)
    assert (refused.returncode, "invalid_auth" in refused.stderr, "xoxb-wrong" in refused.stderr) == (1, True, False)
    connected = house.command("admin", "connect-slack", "--project", "1", "--json", SLACK_BOT_TOKEN=PROJECTS_TOKEN, **settings)
    assert json.loads(connected.stdout)["workspace"] == "Gardeners"
    with house.client() as http:
        script = {"steps": [{"say": "I have <mended> the fence."}]}
        draft = {"title": "A scripted task", "description": json.dumps(script)}
        task = http.post("tasks/", json=draft).raise_for_status().json()
        mapped = house.command("admin", "map-slack-thread", "--project", "1", "--task", task["id"], "--url", PERMALINK, "--json")
        assert json.loads(mapped.stdout) == {"task": task["id"], "channel": CHANNEL, "thread_ts": THREAD_TS}
        answer = http.post(f"tasks/{task['id']}/run/", json={"runtime_adapter": "scripted", "model": "default"}).raise_for_status().json()
        run = Run(house, task["id"], answer["latest_run"]["id"], task["slug"])
        assert run.ended()["status"] == "completed"
        assert _awaited(slack) == "I have &lt;mended&gt; the fence."
        assert slack.messages[0]["thread_ts"] == THREAD_TS
        http.patch(run.path, json={"output": {"pr_url": "https://git.test/1"}}).raise_for_status()
        assert _awaited(slack, 2) == "Pull request: <https://git.test/1>"
    forgotten = house.command("admin", "disconnect-slack", "--project", "1", "--json")
    assert json.loads(forgotten.stdout) == {"project": 1, "forgotten": 1}


def _awaited(slack: FakeSlack, number: int = 1) -> str:
    """The text of a message, once it is posted."""
    assert slack.came(number, timeout_seconds=30)
    return slack.texts()[number - 1]
