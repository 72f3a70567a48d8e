"""Objects in a bucket of S3, or of a server that speaks its protocol: obstore carries the bytes, `s3_signing` signs what others use.

An upload holds a few parts of 5 MiB, the smallest that S3 allows, however large the object is; one that fits in a part is one request.
"""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import obstore
import structlog
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store as Bucket

from hedgerow.domain.errors import InvalidError, NotFoundError, UnavailableError
from hedgerow.storage.base import ObjectInfo, StoredObject, UploadForm
from hedgerow.storage.keys import LONGEST_KEY_BYTES, check_key
from hedgerow.storage.s3_signing import Keys, S3Signer, find_keys

if TYPE_CHECKING:
    from obstore import Attributes, GetResult
    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Credential

_PART_BYTES = 5 * 1024 * 1024  # S3 takes no smaller ones, and 10,000 of them an object
_PARTS_AT_ONCE = 2
_BLOCK_BYTES = 1024 * 1024
_PIECE_BYTES = 256 * 1024
_NO_TYPE = "binary/octet-stream"  # what S3 says of an object that was stored without a type
_DEFAULT_REGION = "us-east-1"
_ABORT_SECONDS = 10
_TAG_SECONDS = 30
_KEY_SECONDS = 60  # after which a key that expires is asked for again
_SPECIAL = re.compile(r"[\x00-\x1f\x7f%]|\$(?=\{)")
_OPTIONS = ("endpoint", "public_endpoint", "region")
# A whole request may take as long as its reader does; what may not is one step of it.
_CLIENT: "ClientConfig" = {"connect_timeout": "5s", "read_timeout": "60s", "timeout": "1day"}
_RETRIES: "RetryConfig" = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Place:
    """Which bucket a URL means. `endpoint` is None for Amazon's own."""

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    public_endpoint: str | None = None
    region: str | None = None

    @property
    def virtual(self) -> bool:
        """Whether the bucket stands in the name of the host. A certificate for `*.s3.…` covers no bucket with a dot."""
        return self.endpoint is None and "." not in self.bucket

    def server(self, region: str) -> str:
        """The server that hedgerow speaks to."""
        if self.virtual:
            return f"https://{self.bucket}.s3.{region}.amazonaws.com"
        return self.endpoint or f"https://s3.{region}.amazonaws.com"

    def address(self, region: str) -> str:
        """Where hedgerow reaches the bucket."""
        return self.server(region) if self.virtual else f"{self.server(region)}/{self.bucket}"

    def public_address(self, region: str) -> str:
        """Where everybody else does."""
        return self.address(region) if self.public_endpoint is None else f"{self.public_endpoint}/{self.bucket}"


async def open_s3(url: str, secrets: Sequence[bytes]) -> "S3Store":
    """The store of an `s3://bucket/prefix?endpoint=…&public_endpoint=…&region=…` address, found to be there and open to us.

    Raises InvalidError for an address that means none, UnavailableError without credentials or where the bucket cannot be listed.
    """
    place = s3_place(url)
    keys, region = await asyncio.to_thread(find_keys)
    store = S3Store(place, keys, place.region or os.environ.get("AWS_REGION") or region or _DEFAULT_REGION)
    await store.check()
    return store


def s3_place(url: str) -> S3Place:
    """What a URL means, filled up from AWS_ENDPOINT_URL. Raises InvalidError with a sentence about the part at fault."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise InvalidError("Credentials do not belong into HEDGEROW_STORAGE_URL: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]", parts.netloc):
        raise InvalidError("The address of an S3 store is s3:// and the name of a bucket.")
    prefix = unquote(parts.path).strip("/")
    if prefix:
        check_key(prefix)
    options = _options(parts.query)
    endpoint = options.get("endpoint") or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
    return S3Place(
        bucket=parts.netloc,
        prefix=f"{prefix}/" if prefix else "",
        endpoint=_endpoint("endpoint", endpoint),
        public_endpoint=_endpoint("public_endpoint", options.get("public_endpoint")),
        region=options.get("region"),
    )


class S3Store:
    """An object store in a bucket."""

    def __init__(self, place: S3Place, keys: Callable[[], Keys], region: str) -> None:
        """Nothing is asked of the store yet. `keys` may wait, and is called in other threads."""
        self._prefix = place.prefix
        self._signer = S3Signer(
            keys, bucket=place.bucket, region=region, address=place.address(region), public_address=place.public_address(region)
        )
        self._bucket = _bucket(place, keys, region)
        self._http = httpx.AsyncClient(timeout=_TAG_SECONDS)

    async def check(self) -> None:
        """Return where the bucket is there and may be listed: who may not list it is not told that an object is missing."""
        with _told():
            await obstore.list(self._bucket, prefix=f"{self._prefix}-", chunk_size=1).collect_async()

    async def put(self, key: str, pieces: AsyncIterable[bytes], *, content_type: str = "") -> ObjectInfo:
        """Store an object, or replace it, once all pieces have come; when this is cut short nothing is stored."""
        path = self._path(key)
        attributes: Attributes = {"Content-Type": _checked(content_type)} if content_type else {}
        blocks = _blocks(pieces)
        first = [block async for block in _until(blocks, _PART_BYTES)]
        size = sum(map(len, first))
        if size < _PART_BYTES:
            with _told():
                await obstore.put_async(self._bucket, path, b"".join(first), attributes=attributes, use_multipart=False)
        else:
            size += await _Upload(self._bucket, path, attributes).send(first, blocks)
        return ObjectInfo(key=key, size_bytes=size, content_type=content_type)

    async def head(self, key: str) -> ObjectInfo | None:
        """What is known of an object; None where there is none."""
        path = self._path(key)
        with _told():
            try:
                result = await obstore.get_async(self._bucket, path, options={"head": True})
            except FileNotFoundError:
                return None
        return _info(key, result)

    async def read(self, key: str) -> StoredObject:
        """The object, in pieces. Raises NotFoundError, before the first piece, where there is none."""
        path = self._path(key)
        with _told():
            try:
                result = await obstore.get_async(self._bucket, path)
            except FileNotFoundError as error:
                if _code(str(error)) == "NoSuchBucket":
                    raise
                raise NotFoundError("There is no such object.") from error
        return StoredObject(_info(key, result), _pieces(result))

    async def delete(self, key: str) -> None:
        """Remove an object; safe to repeat."""
        path = self._path(key)
        with _told(), suppress(FileNotFoundError):
            await obstore.delete_async(self._bucket, path)

    async def tag(self, key: str, tags: Mapping[str, str]) -> None:
        """Put tags on an object, in place of those it had. A store that refuses them, or does not answer, is told of in the log."""
        path = self._path(key)
        try:
            request = await asyncio.to_thread(self._signer.tagging, path, tags)
            answer = await self._http.request(request.method, request.url, content=request.body, headers=dict(request.headers))
        except (httpx.HTTPError, UnavailableError) as error:
            _log.warning("an object was not tagged", key=key, problem=type(error).__name__)
            return
        if not answer.is_success:
            _log.warning("an object was not tagged", key=key, problem=_code(answer.text) or f"status {answer.status_code}")

    async def upload_form(self, key: str, *, content_type: str, largest_bytes: int, expires_at: datetime, public_url: str) -> UploadForm:
        """A form that the bucket itself takes. Where `content_type` is "" it has no field of that name, and may not be given one."""
        path, content_type = self._path(key), _checked(content_type)
        return await asyncio.to_thread(
            self._signer.form, path, content_type=content_type, largest_bytes=largest_bytes, expires_at=expires_at
        )

    async def read_url(self, key: str, *, expires_at: datetime, public_url: str) -> str:
        """An address that the bucket itself answers."""
        return await asyncio.to_thread(self._signer.url, self._path(key), expires_at)

    async def close(self) -> None:
        """Give back what is open."""
        await self._http.aclose()

    def _path(self, key: str) -> str:
        """The key in the bucket. No two keys have the same, and almost all are as they were.

        Control characters are not let through by the library, and `${filename}` in a form is replaced by the store.
        """
        check_key(key)
        path = self._prefix + _SPECIAL.sub(lambda found: f"%{ord(found[0]):02X}", key)
        if len(path.encode()) > LONGEST_KEY_BYTES:
            raise InvalidError(f"The key of an object, with the prefix of the store, has at most {LONGEST_KEY_BYTES} bytes.", attr="key")
        return path


class _CutShortError(Exception):
    """Those who have the pieces give no more of them."""


class _Upload:
    """An upload in parts. The pieces are asked for in the caller's own task, and what was begun is taken back when they are cut short.

    The library takes its upload back where its source raises, and leaves the parts lying where it is cancelled: so it never is.
    """

    def __init__(self, bucket: Bucket, path: str, attributes: "Attributes") -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._cut = False
        self._sending = asyncio.ensure_future(self._send(bucket, path, attributes))
        self._sending.add_done_callback(lambda task: task.cancelled() or task.exception())  # the caller's own error stands above it

    async def send(self, first: Sequence[bytes], rest: AsyncIterator[bytes]) -> int:
        """Send all blocks; returns how many bytes there were in `rest`."""
        size = 0
        try:
            for block in first:
                await self._offer(block)
            async for block in rest:
                size += len(block)
                await self._offer(block)
            await self._offer(None)
            await asyncio.wait({self._sending})
        finally:
            await self._settle()
        self._sending.result()
        return size

    async def _offer(self, block: bytes | None) -> None:
        """Wait until the library has room for a block. Raises what it stopped with, where it did."""
        offering = asyncio.ensure_future(self._queue.put(block))
        try:
            await asyncio.wait({offering, self._sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            offering.cancel()
        if self._sending.done():
            self._sending.result()

    async def _send(self, bucket: Bucket, path: str, attributes: "Attributes") -> None:
        with _told():
            await obstore.put_async(
                bucket, path, self._blocks(), attributes=attributes, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE
            )

    async def _blocks(self) -> AsyncIterator[bytes]:
        while (block := await self._queue.get()) is not None and not self._cut:
            yield block
        if self._cut:
            raise _CutShortError

    async def _settle(self) -> None:
        if self._sending.done():
            return
        self._cut = True
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)
        try:
            await asyncio.wait({self._sending}, timeout=_ABORT_SECONDS)
        finally:
            self._sending.cancel()


def _bucket(place: S3Place, keys: Callable[[], Keys], region: str) -> Bucket:
    endpoint = place.server(region)
    # Said in full, since what is left out is taken from AWS_* variables.
    config: S3Config = {
        "endpoint": endpoint,
        "aws_endpoint_url_s3": endpoint,
        "region": region,
        "virtual_hosted_style_request": place.virtual,
        "disable_bulk_delete": True,
    }
    client: ClientConfig = {**_CLIENT, "allow_http": endpoint.startswith("http://")}
    return Bucket(
        place.bucket, config=config, client_options=client, retry_config=_RETRIES, credential_provider=lambda: _credential(keys())
    )


def _credential(keys: Keys) -> "S3Credential":
    expires_at = None if keys.token is None else datetime.now(UTC) + timedelta(seconds=_KEY_SECONDS)
    return {"access_key_id": keys.access_key, "secret_access_key": keys.secret_key, "token": keys.token, "expires_at": expires_at}


def _options(query: str) -> dict[str, str]:
    options = parse_qs(query, keep_blank_values=True)
    for name, values in options.items():
        if name not in _OPTIONS:
            raise InvalidError(f"An S3 store has the options {', '.join(_OPTIONS)}, and none called {name[:50]}.")
        if len(values) > 1 or not values[0]:
            raise InvalidError(f"The option {name} of an S3 store must be given once, with a value.")
    return {name: values[0] for name, values in options.items()}


def _endpoint(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        right = (
            parts.scheme in {"http", "https"}
            and parts.hostname
            and parts.port != 0
            and not ("@" in parts.netloc or parts.query or parts.fragment)
        )
    except ValueError:
        right = False
    if not right:
        raise InvalidError(f"The option {name} of an S3 store is an address: http:// or https://, a host, perhaps a port and a path.")
    return value.rstrip("/")


def _checked(content_type: str) -> str:
    """A type that a header can carry."""
    if not content_type.isascii() or (content_type and not content_type.isprintable()):
        raise InvalidError("A content type is made of printable ASCII characters.", attr="content_type")
    return content_type


async def _blocks(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in blocks of one size, but for the last."""
    block = bytearray()
    async for piece in pieces:
        block += piece
        while len(block) >= _BLOCK_BYTES:
            yield bytes(block[:_BLOCK_BYTES])
            del block[:_BLOCK_BYTES]
    if block:
        yield bytes(block)


async def _until(blocks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """Blocks until there are `size` bytes; the others stay where they are."""
    while size > 0 and (block := await anext(blocks, None)) is not None:
        size -= len(block)
        yield block


def _info(key: str, result: "GetResult") -> ObjectInfo:
    content_type = result.attributes.get("Content-Type", _NO_TYPE)
    return ObjectInfo(key=key, size_bytes=result.meta["size"], content_type="" if content_type == _NO_TYPE else content_type)


async def _pieces(result: "GetResult") -> AsyncGenerator[bytes, None]:
    stream = aiter(result.stream(min_chunk_size=_PIECE_BYTES))
    while True:
        with _told():
            piece = await anext(stream, None)
        if piece is None:
            return
        for start in range(0, len(piece), _BLOCK_BYTES):
            yield piece[start : start + _BLOCK_BYTES]


@contextmanager
def _told() -> Iterator[None]:
    """Says for people what the library says to programmers."""
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise UnavailableError(f"The object store refuses the credentials of hedgerow{_said(error)}.") from error
    except (BaseError, OSError, ValueError) as error:
        raise UnavailableError(f"The object store cannot be used{_said(error)}.") from error


def _said(error: Exception) -> str:
    code = _code(str(error))
    return f" ({code})" if code else ""


def _code(text: str) -> str:
    """The code of S3's own in an answer, or "" where there is none."""
    found = re.search(r"<Code>(\w{1,100})</Code>", text)
    return found[1] if found else ""
