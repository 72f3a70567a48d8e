"""What the forms and addresses of every object store promise (storage/base.py), checked through HTTP, as clients without a key use them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio

from hedgerow.storage import ObjectInfo, ObjectStore, UploadForm
from tests.storage.stores import EACH_SERVED, SERVED

KEY = "tasks/artifacts/team_1/task_2/run_3/12345678_notes.txt"
DATA = b"one two\x00\xff\r\n--three"


@dataclass(frozen=True)
class Doors:
    """A store, and a client that reaches what its forms and addresses name."""

    store: ObjectStore
    client: httpx.AsyncClient
    public_url: str

    async def form(self, key: str = KEY, content_type: str = "text/plain", largest: int = 1000, seconds: float = 600) -> UploadForm:
        """A form that is valid for so long; it has expired where `seconds` is negative."""
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        return await self.store.upload_form(
            key, content_type=content_type, largest_bytes=largest, expires_at=until, public_url=self.public_url
        )

    async def url(self, key: str = KEY, seconds: float = 600) -> str:
        """An address that is valid for so long."""
        return await self.store.read_url(key, expires_at=datetime.now(UTC) + timedelta(seconds=seconds), public_url=self.public_url)

    async def post(self, form: UploadForm, data: bytes = DATA, **changes: str | None) -> httpx.Response:
        """Fill in a form and send it. `changes` of fields, None to leave one out, `_` for `-` in their names."""
        fields: dict[str, str | None] = {**form.fields, **{name.replace("_", "-"): value for name, value in changes.items()}}
        sent = {name: value for name, value in fields.items() if value is not None}
        return await self.client.post(form.url, data=sent, files={"file": ("any name.bin", data, "application/x-any")})

    async def refuses(self, form: UploadForm, data: bytes = DATA, **changes: str | None) -> None:
        """Send a form that must be refused, twice: where nothing is, and where something is. Neither may change."""
        for stored in (None, b"what was there"):
            await (self.store.delete(KEY) if stored is None else self.store.put(KEY, _once(stored)))
            answer = await self.post(form, data, **changes)
            assert 400 <= answer.status_code < 500, answer.text
            assert await _content(self.store, KEY) == stored


@pytest_asyncio.fixture(params=EACH_SERVED)
async def doors(request: pytest.FixtureRequest) -> AsyncIterator[Doors]:
    """One of the stores, with nothing in it."""
    async with SERVED[request.param](request) as (store, client, public_url):
        yield Doors(store, client, public_url)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _content(store: ObjectStore, key: str) -> bytes | None:
    if await store.head(key) is None:
        return None
    return b"".join([piece async for piece in (await store.read(key)).pieces])


def _signature_field(fields: Mapping[str, str]) -> str:
    return next(name for name in fields if name.endswith("signature"))


async def test_a_form_stores_one_file_with_its_type(doors: Doors) -> None:
    answer = await doors.post(await doors.form())
    assert answer.is_success, answer.text
    assert await doors.store.head(KEY) == ObjectInfo(key=KEY, size_bytes=len(DATA), content_type="text/plain")
    assert await _content(doors.store, KEY) == DATA


async def test_a_form_without_a_type_takes_any_file(doors: Doors) -> None:
    answer = await doors.post(await doors.form(content_type=""))
    assert answer.is_success, answer.text
    assert await _content(doors.store, KEY) == DATA


@pytest.mark.parametrize("size", [0, 999, 1000])
async def test_a_file_up_to_the_largest_size_is_taken(doors: Doors, size: int) -> None:
    answer = await doors.post(await doors.form(), b"x" * size)
    assert answer.is_success, answer.text
    assert await _content(doors.store, KEY) == b"x" * size


@pytest.mark.parametrize("size", [1001, 1_000_000])
async def test_a_larger_file_is_refused(doors: Doors, size: int) -> None:
    await doors.refuses(await doors.form(), b"x" * size)


async def test_a_form_replaces_what_was_there(doors: Doors) -> None:
    await doors.store.put(KEY, _once(b"what was there"))
    assert (await doors.post(await doors.form())).is_success
    assert await _content(doors.store, KEY) == DATA


async def test_a_form_is_for_one_key(doors: Doors) -> None:
    form, other = await doors.form(), await doors.form("tasks/artifacts/team_9/another.txt")
    await doors.refuses(form, key=other.fields["key"])
    await doors.refuses(form, key=None)
    assert await doors.store.head("tasks/artifacts/team_9/another.txt") is None


async def test_a_form_is_for_one_type(doors: Doors) -> None:
    form = await doors.form()
    await doors.refuses(form, Content_Type="text/html")
    await doors.refuses(form, Content_Type=None)


async def test_a_form_that_was_not_signed_here_is_refused(doors: Doors) -> None:
    form = await doors.form()
    name = _signature_field(form.fields)
    signature = form.fields[name]
    await doors.refuses(replace(form, fields={**form.fields, name: signature[:-1] + ("0" if signature[-1] != "0" else "1")}))
    await doors.refuses(replace(form, fields={field: value for field, value in form.fields.items() if field != name}))


async def test_a_policy_may_not_be_exchanged_or_left_out(doors: Doors) -> None:
    form, roomier = await doors.form(), await doors.form(largest=10**9)
    await doors.refuses(form, policy=roomier.fields["policy"])
    await doors.refuses(form, policy="not a policy")
    await doors.refuses(form, policy=None)


async def test_an_expired_form_is_refused(doors: Doors) -> None:
    await doors.refuses(await doors.form(seconds=-1))


@pytest.mark.parametrize("name", ["ünï cødé 字.txt", "100% sure?.txt", "a b+c&d=e#f;'\"", "line\nbreak", "${filename}", "x" * 255])
async def test_forms_and_addresses_reach_hostile_names(doors: Doors, name: str) -> None:
    key = f"tasks/artifacts/team_1/{name}"
    answer = await doors.post(await doors.form(key))
    assert answer.is_success, answer.text
    assert await _content(doors.store, key) == DATA
    answer = await doors.client.get(await doors.url(key))
    assert (answer.status_code, answer.content) == (200, DATA)


async def test_an_address_gives_the_bytes_to_anybody(doors: Doors) -> None:
    await doors.store.put(KEY, _once(DATA), content_type="text/plain")
    answer = await doors.client.get(await doors.url())
    assert (answer.status_code, answer.content) == (200, DATA)


async def test_an_address_that_has_expired_or_was_changed_is_refused(doors: Doors) -> None:
    await doors.store.put(KEY, _once(DATA))
    await doors.store.put(f"{KEY}.2", _once(b"another"))
    url = await doors.url()
    assert "notes.txt" in url
    for refused in (await doors.url(seconds=-1), url[:-1] + ("0" if url[-1] != "0" else "1"), url.replace("notes.txt", "notes.txt.2")):
        assert (await doors.client.get(refused)).status_code == 403


async def test_an_address_of_nothing_is_not_found(doors: Doors) -> None:
    assert (await doors.client.get(await doors.url())).status_code == 404


async def test_a_form_that_is_cut_short_stores_nothing(doors: Doors) -> None:
    form = await doors.form(largest=10**6)
    request = doors.client.build_request("POST", form.url, data=dict(form.fields), files={"file": ("a name", DATA * 1000)})
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    reader, writer = await asyncio.open_connection(request.url.host, request.url.port)
    writer.write(f"POST {request.url.raw_path.decode()} HTTP/1.1\r\n{head}\r\n".encode() + (await request.aread())[:-5000])
    writer.write_eof()
    await reader.read()  # until the other side gives up as well
    writer.close()
    assert await doors.store.head(KEY) is None
