"""Two machines on one PostgreSQL and one S3 server."""

import json
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.house import House
from tests.radosgw import S3Server

pytestmark = pytest.mark.s3

INLINE = {"name": "notes.txt", "type": "output", "content": "kept", "content_type": "text/plain"}


def _machine(folder: Path, server: S3Server, database_url: str, bucket: str | None = None) -> House:
    """A data directory with nothing in it, told of what all machines share."""
    folder.mkdir()
    url = server.url("end to end")
    shared = {
        "HEDGEROW_DATABASE_URL": database_url,
        "HEDGEROW_STORAGE_URL": url if bucket is None else url.replace(server.bucket, bucket),
        "HEDGEROW_SECRET_KEY": "a secret key that both machines know",
    }
    return House(folder, {**shared, **server.variables})


def test_what_one_machine_stored_is_read_from_another_after_the_first_was_killed(
    tmp_path: Path, s3_server: S3Server, database_url: str
) -> None:
    first, second = (_machine(tmp_path / name, s3_server, database_url) for name in ("first", "second"))
    try:
        process = first.start("api", "--port", "0")
        with first.client() as http:
            task = http.post("tasks/", json={"title": "Mend the fence"}).raise_for_status().json()
            run = http.post(f"tasks/{task['id']}/runs/", json={"environment": "cloud"}).raise_for_status().json()
            path = f"tasks/{task['id']}/runs/{run['id']}/artifacts/"
            (entry,) = http.post(path, json={"artifacts": [INLINE]}).raise_for_status().json()["artifacts"]
            upload = {"name": "photo.png", "type": "output", "size": 5, "content_type": "image/png"}
            (prepared,) = http.post(f"{path}prepare_upload/", json={"artifacts": [upload]}).raise_for_status().json()["artifacts"]
        process.kill()
        credentials = json.loads((first.data_dir / "credentials.json").read_text())
        url = second.start("api", "--port", "0").said[-1].split()[-1]
        form = prepared["presigned_post"]
        httpx.post(form["url"], data=form["fields"], files={"file": b"photo"}, trust_env=False).raise_for_status()
        base = f"{url}/api/projects/{credentials['project_id']}/"
        with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {credentials['api_key']}"}, timeout=60) as http:
            sent = {name: prepared[name] for name in ("id", "name", "type", "storage_path", "content_type")}
            (photo,) = http.post(f"{path}finalize_upload/", json={"artifacts": [sent]}).raise_for_status().json()["artifacts"]
            for storage_path, content in ((entry["storage_path"], b"kept"), (photo["storage_path"], b"photo")):
                assert http.post(f"{path}download/", json={"storage_path": storage_path}).raise_for_status().content == content
    finally:
        for house in (first, second):
            house.stop()


def test_a_bucket_that_is_not_there_is_said_at_the_start_without_a_secret(tmp_path: Path, s3_server: S3Server, database_url: str) -> None:
    house = _machine(tmp_path / "machine", s3_server, database_url, bucket="another-bucket")
    with pytest.raises(AssertionError, match="NoSuchBucket") as said:
        house.start("api", "--port", "0")
    assert "Traceback" not in str(said.value)
    assert s3_server.secret_key not in str(said.value)
