"""An upload of a gigabyte through a form of the local store: how much more memory the server needs for it."""

import os
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.house import House
from benchmarks.memory import Watch
from benchmarks.report import Figure

GOAL_MEGABYTES = 20
UPLOAD_BYTES = 1_000_000_000
_PIECE_BYTES = 1_000_000
_BORDER = b"a border of a benchmark"


def settings() -> dict[str, str]:
    """What a house needs so that it takes a file this large."""
    return {"HEDGEROW_ARTIFACT_BYTES": str(UPLOAD_BYTES)}


def _pieces(fields: dict[str, str], size: int) -> Iterator[bytes]:
    for name, value in fields.items():
        yield b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (_BORDER, name.encode(), value.encode())
    yield b'--%b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' % _BORDER
    piece = os.urandom(_PIECE_BYTES)
    for _ in range(size // _PIECE_BYTES):
        yield piece
    yield b"\r\n--%b--\r\n" % _BORDER


def _send(house: House, size: int) -> float:
    """Send a file of this size by form and finalize it; how many seconds the form took."""
    task_id = house.make_task()
    path = f"{house.tasks}{task_id}/runs/{house.make_run(task_id)}/artifacts/"
    with house.client() as http:
        item = {"name": "large.bin", "type": "output", "size": size}
        (upload,) = http.post(f"{path}prepare_upload/", json={"artifacts": [item]}).raise_for_status().json()["artifacts"]
        started = time.monotonic()
        _post(upload["presigned_post"]["url"], upload["presigned_post"]["fields"], size)
        took = time.monotonic() - started
        sent = item | {"id": upload["id"], "storage_path": upload["storage_path"]}
        (entry,) = http.post(f"{path}finalize_upload/", json={"artifacts": [sent]}).raise_for_status().json()["artifacts"]
        assert entry["size"] == size, entry
    return took


def _post(url: str, fields: dict[str, str], size: int) -> None:
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=600)
    length = sum(map(len, _pieces(fields, 0))) + size // _PIECE_BYTES * _PIECE_BYTES
    headers = {"Content-Type": f"multipart/form-data; boundary={_BORDER.decode()}", "Content-Length": str(length)}
    connection.request("POST", address.path, _pieces(fields, size), headers)
    answer = connection.getresponse()
    assert answer.status == 204, answer.read()
    connection.close()


def _copy_seconds(folder: Path) -> float:
    """The yardstick: the same bytes written to the same disk, and brought there."""
    piece = os.urandom(_PIECE_BYTES)
    started = time.monotonic()
    with (folder / "yardstick").open("wb") as file:
        for _ in range(UPLOAD_BYTES // _PIECE_BYTES):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    took = time.monotonic() - started
    (folder / "yardstick").unlink()
    return took


def measure(house: House) -> list[Figure]:
    """The growth of the server's memory during the upload, after a small one that has loaded all code."""
    _send(house, _PIECE_BYTES)
    with Watch(house.pid) as watch:
        took = _send(house, UPLOAD_BYTES)
    grown = watch.largest - watch.before
    yardstick = _copy_seconds(house.data_dir)
    return [
        Figure(
            "memory for an upload of 1 GB by form",
            f"{grown:.1f} MB more, {took:.1f} s",
            f"writing it {yardstick:.1f} s",
            f"{took / yardstick:.1f}",
            f"at most {GOAL_MEGABYTES} MB",
            grown <= GOAL_MEGABYTES,
        )
    ]
