import io
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from hedgerow.client import BrokenOffError, Client, ClientError, RunId, UnreachableError
from hedgerow.client.files import INLINE_BYTES, Landing, opened
from tests.client.fake_server import FakeRun, FakeServer

LARGE = os.urandom(INLINE_BYTES + 1)


@pytest.fixture
def run(server: FakeServer) -> FakeRun:
    return server.add_run(server.add_task())


def calls(server: FakeServer) -> list[str]:
    return [path.rstrip("/").rsplit("/", 1)[-1] for _, path, _ in server.requests]


def test_a_small_file_goes_in_one_call(server: FakeServer, client: Client, run: FakeRun, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"  kept \0 byte for byte\n")
    artifact = client.upload_artifact(run, path, type="plan", source="tests")
    assert (artifact.name, artifact.type, artifact.content_type, artifact.size) == ("notes.txt", "plan", "text/plain", 23)
    assert calls(server) == ["artifacts"]
    assert server.keys[0] != ""
    assert client.read_artifact(run, artifact) == path.read_bytes()


def test_a_large_file_goes_by_a_form_with_the_file_last_and_without_the_key(server: FakeServer, client: Client, run: FakeRun) -> None:
    artifact = client.upload_artifact(run, LARGE, name="data.bin")
    assert calls(server) == ["prepare_upload", "finalize_upload"]
    (fields, headers) = server.store.forms[0]
    assert fields == ["key", "policy", "x-amz-signature", "file"]
    assert "Authorization" not in headers
    assert int(headers["Content-Length"]) > len(LARGE)
    assert client.read_artifact(run, artifact.storage_path) == LARGE


@pytest.mark.parametrize("seekable", [True, False])
def test_an_open_file_is_taken_from_its_beginning(client: Client, run: FakeRun, seekable: bool) -> None:
    file = io.BytesIO(LARGE)
    file.seek(1000 if seekable else 0)
    file.seekable = lambda: seekable  # type: ignore[method-assign]
    assert client.read_artifact(run, client.upload_artifact(run, file)) == LARGE


def test_a_file_is_staged_for_the_next_run(server: FakeServer, client: Client, run: FakeRun) -> None:
    staged = client.stage_artifact(run.task_id, b"small", name="a.pdf")
    assert (staged.type, staged.content_type) == ("user_attachment", "application/pdf")
    assert server.store.objects[staged.storage_path] == b"small"
    assert server.requests[0][1].endswith(f"/tasks/{run.task_id}/staged_artifacts/prepare_upload/")


def test_an_empty_file_is_refused_before_anything_is_asked(server: FakeServer, client: Client, run: FakeRun) -> None:
    with pytest.raises(ClientError, match=r"a\.txt is empty"):
        client.upload_artifact(run, b"", name="a.txt")
    assert server.requests == []


def test_what_a_store_says_against_a_file_is_said(server: FakeServer, client: Client, run: FakeRun) -> None:
    server.store.refusal = "<Error><Code>EntityTooLarge</Code><Message>Your upload is too large.</Message></Error>"
    with pytest.raises(ClientError, match="Your upload is too large") as raised:
        client.upload_artifact(run, LARGE)
    assert (raised.value.status, raised.value.code) == (403, "EntityTooLarge")
    assert server.store.manifests == {}


def test_a_store_that_is_not_there_is_told_apart_from_hedgerow(client: Client, run: FakeRun) -> None:
    place = RunId(run.task_id, run.id)
    (prepared,) = client.prepare_artifact_upload(place, [{"name": "a", "type": "output", "size": 1}])
    elsewhere = replace(prepared, url="http://127.0.0.1:1/store?secret")
    with (
        pytest.raises(ClientError, match=r"The store at \S+ does not take") as raised,
        opened(b"x", "a", None) as upload,
    ):
        client.send_form(elsewhere, upload)
    assert not isinstance(raised.value, UnreachableError)
    assert "secret" not in str(raised.value)


def test_a_download_comes_into_a_folder_under_its_last_name(client: Client, run: FakeRun, tmp_path: Path) -> None:
    artifact = client.upload_artifact(run, LARGE, name="../../evil")
    assert client.download_artifact(run, artifact, to=tmp_path) == tmp_path / "evil"
    assert (tmp_path / "evil").read_bytes() == LARGE
    assert [path.name for path in tmp_path.iterdir()] == ["evil"]


def test_a_download_that_breaks_off_begins_again(server: FakeServer, client: Client, run: FakeRun, tmp_path: Path) -> None:
    artifact = client.upload_artifact(run, LARGE)
    server.broken_answers = 2
    client.download_artifact(run, artifact, to=tmp_path / "whole")
    assert (tmp_path / "whole").read_bytes() == LARGE


def test_a_download_that_never_comes_whole_leaves_the_path_as_it_was(
    server: FakeServer, client: Client, run: FakeRun, tmp_path: Path
) -> None:
    artifact = client.upload_artifact(run, LARGE)
    (tmp_path / "kept").write_text("before")
    server.broken_answers = 99
    with pytest.raises(BrokenOffError, match="broke off"):
        client.download_artifact(run, artifact, to=tmp_path / "kept")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]
    with pytest.raises(BrokenOffError):
        client.read_artifact(run, artifact)


def test_a_download_into_an_open_file_stands_where_the_file_was(server: FakeServer, client: Client, run: FakeRun) -> None:
    artifact = client.upload_artifact(run, LARGE)
    file = io.BytesIO()
    file.write(b"head")
    server.broken_answers = 1
    assert client.download_artifact(run, artifact, to=file) is None
    assert file.getvalue() == b"head" + LARGE


def test_an_artifact_that_is_not_there_is_said_and_nothing_is_written(client: Client, run: FakeRun, tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="no such artifact"):
        client.download_artifact(run, "tasks/nothing", to=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_address_of_an_artifact_is_not_printed(client: Client, run: FakeRun) -> None:
    presigned = client.presign_artifact(run, client.upload_artifact(run, b"x"))
    assert presigned.url.endswith("/signed")
    assert presigned.url not in repr(presigned)


def test_unknown_artifact_ids_are_named(server: FakeServer, client: Client, run: FakeRun) -> None:
    server.refusals["/start/"] = (400, {"detail": "These artifacts are not there.", "missing_artifact_ids": ["a", "b"]})
    with pytest.raises(ClientError) as raised:
        client.start_run(RunId(run.task_id, run.id), pending_user_artifact_ids=["a", "b"])
    assert raised.value.missing_artifact_ids == ("a", "b")


@pytest.mark.parametrize(("name", "written"), [("../out", "out"), ("..", "artifact"), ("字" * 170 + ".txt", "字" * 65 + ".txt")])
def test_a_name_neither_leads_out_of_a_folder_nor_is_too_long_for_it(tmp_path: Path, name: str, written: str) -> None:
    landing = Landing(tmp_path, name)
    landing.keep()
    assert landing.path == tmp_path / written
    assert [path.name for path in tmp_path.iterdir()] == [written]


def test_a_large_file_is_never_held_whole(client: Client, server: FakeServer, run: FakeRun, tmp_path: Path) -> None:
    source = tmp_path / "large"
    with source.open("wb") as file:
        file.truncate(24 * 1024 * 1024)
    server.store.keeps = False
    tracemalloc.start()
    try:
        with pytest.raises(ClientError, match="not there"):
            client.upload_artifact(run, source)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1024 * 1024
