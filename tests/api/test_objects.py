"""The forms and addresses of the local store (contract 13.4)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from hedgerow.api import create_api
from hedgerow.api.posted_forms import PostedForm
from hedgerow.api.protocol_errors import BodyTooSlowError
from hedgerow.domain.clock import FixedClock
from hedgerow.operations.backends import Backends
from hedgerow.storage import UploadForm
from hedgerow.storage.local import LocalStore
from tests.api.conftest import PUBLIC_URL, Served

KEY = "tasks/objects/{}/notes.txt"
BORDER = b"----a border"


@pytest.fixture
async def key(served: Served) -> str:
    return KEY.format(served.project.id)


async def form_of(backends: Backends, key: str, *, content_type: str = "text/plain", largest_bytes: int = 1000) -> UploadForm:
    expires_at = backends.clock.now() + timedelta(minutes=5)
    return await backends.storage.upload_form(
        key, content_type=content_type, largest_bytes=largest_bytes, expires_at=expires_at, public_url=PUBLIC_URL
    )


async def post(served: Served, form: UploadForm, content: bytes = b"hello", **changes: Any) -> httpx.Response:
    fields = {**form.fields, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return await served.client.post(form.url, data=fields, files={"file": ("x", content)}, headers={"Authorization": ""})


async def stored(served: Served, key: str) -> bytes | None:
    if await served.backends.storage.head(key) is None:
        return None
    return b"".join([piece async for piece in (await served.backends.storage.read(key)).pieces])


def litter(served: Served) -> list[Path]:
    storage = served.backends.storage
    assert isinstance(storage, LocalStore)
    return list((storage.folder / ".uploads").iterdir())


async def test_a_form_stores_its_file(served: Served, key: str) -> None:
    answer = await post(served, await form_of(served.backends, key))
    assert (answer.status_code, answer.content) == (204, b"")
    info = await served.backends.storage.head(key)
    assert info is not None
    assert (info.size_bytes, info.content_type) == (5, "text/plain")


async def test_a_form_may_be_used_twice_at_once_and_the_object_is_whole(served: Served, key: str) -> None:
    form = await form_of(served.backends, key, largest_bytes=3_000_000)
    contents = [bytes([letter]) * 2_000_000 for letter in b"ab"]
    answers = await asyncio.gather(*[post(served, form, content) for content in contents])
    assert [answer.status_code for answer in answers] == [204, 204]
    assert await stored(served, key) in contents


async def test_a_file_may_be_empty_and_as_large_as_the_form_says_and_no_byte_larger(served: Served, key: str) -> None:
    form = await form_of(served.backends, key, largest_bytes=1000)
    assert (await post(served, form, b"")).status_code == 204
    assert (await post(served, form, b"x" * 1000)).status_code == 204
    refused = await post(served, form, b"y" * 1001)
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    assert await stored(served, key) == b"x" * 1000
    assert litter(served) == []


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"key": "tasks/other"}, 403),
        ({"key": "../../etc/passwd"}, 403),
        ({"Content_Type": "text/html"}, 403),
        ({"signature": "0" * 64}, 403),
        ({"policy": "e30="}, 403),
    ],
)
async def test_a_form_that_was_changed_is_refused(served: Served, key: str, changes: dict[str, str], status: int) -> None:
    answer = await post(served, await form_of(served.backends, key), b"hello", **changes)
    assert (answer.status_code, list(answer.json())) == (status, ["type", "code", "detail", "attr"])
    assert await stored(served, key) is None


async def test_an_expired_form_is_refused(served: Served, key: str) -> None:
    backends = replace(served.backends, clock=FixedClock(served.backends.clock.now() - timedelta(hours=1)))
    answer = await post(served, await form_of(backends, key))
    assert answer.status_code == 403
    assert "expired" in answer.json()["detail"]


async def test_what_an_earlier_secret_signed_is_still_taken(served: Served, key: str, tmp_path: Path) -> None:
    from hedgerow.storage import open_store

    signed = await (await open_store(tmp_path.as_uri(), [b"old"])).upload_form(
        key, content_type="", largest_bytes=9, expires_at=served.backends.clock.now() + timedelta(hours=1), public_url=PUBLIC_URL
    )
    for secrets, status in (([b"new", b"old"], 204), ([b"new"], 403)):
        app = create_api(replace(served.backends, storage=await open_store(tmp_path.as_uri(), secrets)))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=PUBLIC_URL) as client:
            assert (await client.post(signed.url, data=dict(signed.fields), files={"file": b"x"})).status_code == status


def part(name: str, value: bytes) -> bytes:
    return b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (BORDER, name.encode(), value)


async def send(
    served: Served, form: UploadForm, body: Any, content_type: str = f"multipart/form-data; boundary={BORDER.decode()}"
) -> httpx.Response:
    headers = {"Content-Type": content_type, "Authorization": ""}
    return await served.client.post(form.url, content=body, headers=headers)


def fields_of(form: UploadForm) -> bytes:
    return b"".join(part(name, value.encode()) for name, value in form.fields.items())


async def test_fields_after_the_file_are_ignored(served: Served, key: str) -> None:
    form = await form_of(served.backends, key)
    body = fields_of(form) + part("file", b"the file") + part("key", b"other") + part("file", b"another") + b"--" + BORDER + b"--\r\n"
    assert (await send(served, form, body)).status_code == 204
    assert await stored(served, key) == b"the file"


async def test_a_file_before_its_fields_is_refused(served: Served, key: str) -> None:
    form = await form_of(served.backends, key)
    answer = await send(served, form, part("file", b"the file") + fields_of(form) + b"--" + BORDER + b"--\r\n")
    assert (answer.status_code, answer.json()["attr"]) == (400, "key")


async def test_a_form_without_a_file_is_refused(served: Served, key: str) -> None:
    form = await form_of(served.backends, key)
    answer = await send(served, form, fields_of(form) + b"--" + BORDER + b"--\r\n")
    assert (answer.status_code, answer.json()["attr"], answer.json()["code"]) == (400, "file", "required")


@pytest.mark.parametrize(
    "ending", [b"", b"\r\n--", b"\r\n--" + BORDER, b"\r\n--" + BORDER + b"\r\nContent-Disposition: form-data; name=x\r\n\r\n"]
)
async def test_a_form_that_ends_before_its_end_stores_nothing(served: Served, key: str, ending: bytes) -> None:
    form = await form_of(served.backends, key)
    answer = await send(served, form, (fields_of(form) + part("file", b"half of it")).removesuffix(b"\r\n") + ending)
    assert answer.status_code == 400
    assert await stored(served, key) is None
    assert litter(served) == []


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 415),
        (b"", "", 415),
        (b"x", "multipart/form-data", 400),
        (b"garbage", "multipart/form-data; boundary=x", 400),
        (b"--x\r\nno header\r\n\r\n", "multipart/form-data; boundary=x", 400),
        (b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\n' + b"x" * 100_000, "multipart/form-data; boundary=x", 400),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 60, "multipart/form-data; boundary=x", 400),
        (b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n\xff\r\n--x--', "multipart/form-data; boundary=x", 400),
        (b"--x\r\n" + b"A: b\r\n" * 50_000, "multipart/form-data; boundary=x", 400),
    ],
)
async def test_what_is_no_form_is_refused(served: Served, key: str, body: bytes, content_type: str, status: int) -> None:
    answer = await send(served, await form_of(served.backends, key), body, content_type)
    assert answer.status_code == status


async def test_a_file_that_is_too_large_is_refused_while_it_comes(served: Served, key: str) -> None:
    form = await form_of(served.backends, key, largest_bytes=100_000)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield fields_of(form) + part("file", b"").removesuffix(b"\r\n")
        while True:
            sent += 50_000
            yield b"x" * 50_000

    answer = await send(served, form, endless())
    assert answer.status_code == 413
    assert sent < 1_000_000
    assert litter(served) == []


async def test_what_follows_the_last_border_is_bounded_too(served: Served, key: str) -> None:
    form = await form_of(served.backends, key)
    whole, sent = fields_of(form) + part("file", b"the file") + b"--" + BORDER + b"--\r\n", 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield whole
        while sent < 1_000_000:
            sent += 50_000
            yield b"x" * 50_000

    answer = await send(served, form, endless())
    assert (answer.status_code, sent) == (400, 100_000)
    assert await stored(served, key) is None
    assert (await send(served, form, whole + b"a few more words")).status_code == 204


async def test_the_border_may_fall_anywhere_between_two_reads(served: Served, key: str) -> None:
    form = await form_of(served.backends, key)
    body = fields_of(form) + part("file", b"\r\n--" + BORDER[:5] + b"\r\nthe file\r") + b"--" + BORDER + b"--\r\n"

    async def by_bytes() -> AsyncIterator[bytes]:
        for index in range(len(body)):
            yield body[index : index + 1]

    assert (await send(served, form, by_bytes())).status_code == 204
    assert await stored(served, key) == b"\r\n--" + BORDER[:5] + b"\r\nthe file\r"


async def test_an_upload_that_stalls_is_let_go(served: Served) -> None:
    never = asyncio.Event()

    async def receive() -> Message:
        await never.wait()
        raise AssertionError("nothing ever comes")

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"multipart/form-data; boundary=x")]}
    with pytest.raises(BodyTooSlowError, match="bytes of the body came"):
        await PostedForm(Request(scope, receive), stall_seconds=0.01).fields()


async def test_addresses_are_read_by_anybody_until_they_expire(served: Served, key: str) -> None:
    await post(served, await form_of(served.backends, key), b"x" * 1000)
    now = served.backends.clock.now()
    url = await served.backends.storage.read_url(key, expires_at=now + timedelta(minutes=1), public_url=PUBLIC_URL)
    answer = await served.client.get(url, headers={"Authorization": ""})
    assert (answer.status_code, answer.content) == (200, b"x" * 1000)
    assert answer.headers["content-disposition"] == 'attachment; filename="notes.txt"'
    head = await served.client.head(url)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "1000", b"")
    for wrong in (url.replace("notes", "other"), url[:-1] + ("0" if url[-1] != "0" else "1"), f"{PUBLIC_URL}/api/objects/"):
        assert (await served.client.get(wrong)).status_code == 403
    old = await served.backends.storage.read_url(key, expires_at=now, public_url=PUBLIC_URL)
    assert (await served.client.get(old)).status_code == 403
    await served.backends.storage.delete(key)
    assert (await served.client.get(url)).status_code == 404
