"""Artifacts that wait for the run that takes them (contract 6)."""

from tests.api.artifact_desk import TEXT, Desk, staged


async def test_a_run_takes_staged_artifacts_over_once_as_they_are(desk: Desk) -> None:
    one, two = await staged(desk), await staged(desk, name="second.txt")
    assert f"/staged/{one['id']}/photo.png" in one["storage_path"]
    task_url = desk.url.partition("runs/")[0]
    body = {"pending_user_message": "Look", "pending_user_artifact_ids": [two["id"], one["id"], one["id"]]}
    answer = await desk.served.client.post(f"{task_url}run/", json=body)
    run = answer.json()["latest_run"]
    assert run["artifacts"] == [two, one]
    assert run["state"]["pending_user_artifact_ids"] == [two["id"], one["id"], one["id"]]
    again = await desk.served.client.post(f"{task_url}run/", json={"pending_user_artifact_ids": [one["id"], "nope", one["id"]]})
    assert (again.status_code, again.json()["missing_artifact_ids"]) == (400, [one["id"], "nope"])
    assert "detail" in again.json()
    taken = Desk(desk.served, f"{task_url}runs/{run['id']}/")
    assert (await taken.content(one["storage_path"])).content == b"staged"
    async with desk.served.backends.database.transaction() as tx:
        rows = await (await tx.connection.execute("SELECT artifacts FROM messages WHERE run_id = %s", [run["id"]])).fetchall()
    assert [row["artifacts"] for row in rows] == [[two, one]]


async def test_unknown_ids_leave_staged_artifacts_where_they_are(desk: Desk) -> None:
    one = await staged(desk)
    task_url = desk.url.partition("runs/")[0]
    refused = await desk.served.client.post(f"{task_url}run/", json={"pending_user_artifact_ids": [one["id"], "nope"]})
    assert refused.json()["missing_artifact_ids"] == ["nope"]
    assert len((await desk.served.client.get(f"{task_url}runs/")).json()["results"]) == 1
    accepted = await desk.served.client.post(f"{task_url}run/", json={"pending_user_artifact_ids": [one["id"]]})
    assert accepted.json()["latest_run"]["artifacts"] == [one]


async def test_start_and_commands_take_artifacts_of_the_run_and_no_others(desk: Desk) -> None:
    (entry,) = await desk.inline(TEXT)
    unknown = await desk.post("start/", pending_user_artifact_ids=["b", entry["id"], "a"])
    assert (unknown.status_code, unknown.json()["missing_artifact_ids"]) == (400, ["b", "a"])
    assert "detail" in unknown.json()
    started = await desk.post("start/", pending_user_message="Go", pending_user_artifact_ids=[entry["id"]])
    assert started.json()["latest_run"]["state"]["pending_user_artifact_ids"] == [entry["id"]]
    command = {"jsonrpc": "2.0", "method": "user_message", "params": {"artifact_ids": [entry["id"]]}}
    assert (await desk.post("command/", **command)).json()["result"]["queued"] is True
    wrong = await desk.post("command/", jsonrpc="2.0", method="user_message", params={"artifact_ids": ["x"]})
    assert (wrong.status_code, wrong.json()["missing_artifact_ids"]) == (400, ["x"])
    assert "error" in wrong.json()
    run_id = desk.url.rstrip("/").rpartition("/")[2]
    async with desk.served.backends.database.transaction() as tx:
        rows = await (
            await tx.connection.execute("SELECT content, artifacts FROM messages WHERE run_id = %s ORDER BY position", [run_id])
        ).fetchall()
    assert [(row["content"], row["artifacts"]) for row in rows] == [("Go", [entry]), (None, [entry])]
