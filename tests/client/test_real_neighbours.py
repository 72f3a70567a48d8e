"""The client against the API itself: artifacts, messages, environments and keys."""

import os
from pathlib import Path

import pytest

from hedgerow.client import ClientError
from hedgerow.client.files import INLINE_BYTES
from tests.client.test_real_api import House, database_url, house

pytestmark = pytest.mark.asyncio(loop_scope="module")
__all__ = ["database_url", "house"]


async def test_files_of_a_run_go_both_ways(house: House, tmp_path: Path) -> None:
    client = house.awaiting
    run = await client.create_run(await client.create_task(title="Files"), environment="cloud")
    contents = {"small.txt": b" small \n", "large.bin": os.urandom(INLINE_BYTES * 5 + 1)}
    for name, content in contents.items():
        artifact = await client.upload_artifact(run, content, name=name, type="output", source="tests")
        assert (artifact.name, artifact.size, artifact.source) == (name, len(content), "tests")
        assert await client.download_artifact(run, artifact, to=tmp_path) == tmp_path / name
        assert (tmp_path / name).read_bytes() == content
    stored = (await client.retrieve_run(run)).artifacts
    assert [artifact.name for artifact in stored] == list(contents)
    assert (await client.presign_artifact(run, stored[0])).expires_in == 3600
    with pytest.raises(ClientError) as raised:
        await client.read_artifact(run, "tasks/artifacts/none")
    assert raised.value.status == 404


async def test_a_staged_file_becomes_one_of_the_run(house: House) -> None:
    client = house.awaiting
    task = await client.create_task(title="Staged", description="Read it")
    staged = await client.stage_artifact(task, b"what to know", name="know.txt")
    assert staged.id is not None
    run = (await client.run_task(task, pending_user_artifact_ids=[staged.id])).latest_run
    assert run is not None
    assert await client.read_artifact(run, run.artifacts[0]) == b"what to know"
    with pytest.raises(ClientError) as raised:
        await client.run_task(task, pending_user_artifact_ids=[staged.id])
    assert raised.value.missing_artifact_ids == (staged.id,)


async def test_a_file_that_is_too_large_is_refused_before_it_is_sent(house: House, tmp_path: Path) -> None:
    run = await house.awaiting.create_run(await house.awaiting.create_task(title="Too large"))
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(31 * 1024 * 1024)
    with pytest.raises(ClientError) as raised:
        await house.awaiting.upload_artifact(run, tmp_path / "huge")
    assert raised.value.status == 400


async def test_waiting_messages_are_moved_and_taken_back(house: House) -> None:
    client = house.awaiting
    task = await client.create_task(title="Messages", description="Begin")
    run = (await client.run_task(task)).latest_run
    assert run is not None
    for text in ("one", "two", "three"):
        await client.send_message(run, text)
    waiting = {message.content: message.id for message in await client.list_messages(run)}
    await client.promote_message(run, waiting["three"])
    await client.demote_message(run, waiting["one"])
    await client.delete_message(run, waiting["two"])
    order = [message.content for message in await client.list_messages(run)]
    assert order.index("three") < order.index("one")
    assert "two" not in order
    moved = await client.move_message(run, waiting["one"], 1)
    assert moved.position is not None


async def test_sandbox_environments_are_made_changed_and_deleted(house: House) -> None:
    client = house.awaiting
    made = await client.create_sandbox_environment(
        name="Strict", network_access_level="custom", allowed_domains=["example.com"], environment_variables={"A": "b"}
    )
    assert (made.private, made.has_environment_variables, made.effective_domains) == (True, True, ("example.com",))
    assert (await client.update_sandbox_environment(made.id, name="Stricter")).name == "Stricter"
    assert (await client.retrieve_sandbox_environment(made.id)).allowed_domains == ("example.com",)
    assert made.id in {each.id for each in await client.list_sandbox_environments()}
    await client.delete_sandbox_environment(made.id)
    with pytest.raises(ClientError, match="ound"):
        await client.retrieve_sandbox_environment(made.id)


async def test_keys_are_listed_and_revoked(house: House) -> None:
    client = house.awaiting
    made = await client.create_personal_key("short lived", ["task:read"])
    listed = {key.id: key.value for key in await client.list_personal_keys()}
    assert listed[made.id] is None
    assert (await client.retrieve_personal_key(made.id)).label == "short lived"
    await client.revoke_personal_key(made.id)
    with pytest.raises(ClientError) as raised:
        await client.retrieve_personal_key(made.id)
    assert raised.value.status == 404


async def test_the_record_says_who_did_what(house: House) -> None:
    client = house.awaiting
    task = await client.create_task(title="Recorded")
    entries = await client.list_audit(task=task.id)
    assert [entry.task_id for entry in entries] == [task.id]


async def test_an_unknown_repository_is_not_ready(house: House) -> None:
    readiness = await house.awaiting.repository_readiness("nobody/knows")
    assert (readiness.repository, readiness.excluded, readiness.core_suggestions.state) == ("nobody/knows", False, "needs_setup")


async def test_a_project_without_integrations_has_none(house: House) -> None:
    client = house.awaiting
    assert await client.list_integrations() == []
    assert await client.own_integrations() == []
    assert await client.own_github_login() is None
    assert await client.feature_flags("anything") in ({}, {"anything": False})


async def test_a_task_without_a_thread_is_told_nowhere(house: House) -> None:
    client = house.awaiting
    task = await client.create_task(title="Slack")
    assert await client.relay_message(await client.create_run(task), "Hello") is None
    with pytest.raises(ClientError) as raised:
        await client.retrieve_slack_thread(task)
    assert raised.value.status == 404
