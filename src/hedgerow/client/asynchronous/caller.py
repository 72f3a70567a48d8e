"""How every call is made: with the key of its person, again where that is safe, and with one kind of error."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import httpx

from hedgerow.client.calls import Call
from hedgerow.client.certificates import certificates
from hedgerow.client.credentials import Credentials
from hedgerow.client.errors import BrokenOffError, ClientError, UnreachableError, refusal
from hedgerow.client.json_text import read_json
from hedgerow.client.places import quoted
from hedgerow.client.retrying import Retries

Pause = Callable[[float], Awaitable[object]]
Answer = TypeVar("Answer")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Caller:
    """hedgerow at one address, in one project."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        retries: Retries | None = None,
        timeout_seconds: float = 60,
        connect_timeout_seconds: float = 10,
        command_timeout_seconds: float = 630,
        silence_seconds: float = 65,
        user_agent: str = "hedgerow-client",
        pause: Pause = asyncio.sleep,
    ) -> None:
        """Where to call, and how long to wait: for an answer, for a connection, for the answer of an agent to a command (the server
        waits ten minutes), for a sign of life of a stream (the server gives one every twenty seconds). `pause` waits between two tries.
        """
        self.credentials = credentials
        self._retries = retries or Retries()
        self._pause = pause
        self._timeout = httpx.Timeout(timeout_seconds, connect=connect_timeout_seconds)
        self._command_timeout_seconds = command_timeout_seconds
        self._silence_seconds = silence_seconds
        self._project = f"/api/projects/{quoted(credentials.project)}/"
        headers = {"Authorization": f"Bearer {credentials.api_key}", "User-Agent": user_agent}
        self._http = httpx.AsyncClient(
            base_url=credentials.url,
            headers=headers,
            timeout=self._timeout,
            trust_env=lies_outside(credentials.url),
            verify=certificates(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def _ask(self, call: Call, read: Callable[[Any], Answer], *, retries: Retries | None = None) -> Answer:
        """Make a call and read its answer."""
        response = await self._answer(call, retries=retries)
        return self._read(response, read)

    def _read(self, response: httpx.Response, read: Callable[[Any], Answer]) -> Answer:
        try:
            return read(read_json(response.content))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"What answers at {self.credentials.url} is not hedgerow, or is a version of it that this client cannot read."
            raise ClientError(message, status=response.status_code, code="unreadable_answer") from error

    @asynccontextmanager
    async def _open(self, call: Call, *, retries: Retries | None = None) -> AsyncIterator[httpx.Response]:
        """Make a call whose answer is read piece by piece. Raises BrokenOffError where the answer does not come to its end."""
        response = await self._answer(call, stream=True, retries=retries)
        try:
            yield response
        except httpx.TransportError as error:
            raise BrokenOffError(self.credentials.url, error) from error
        finally:
            await response.aclose()

    async def _answer(self, call: Call, *, stream: bool = False, retries: Retries | None = None) -> httpx.Response:
        """The answer to a call, after as many tries as `retries` allow. Raises ClientError for an answer outside 2xx."""
        retries = retries or self._retries
        content, headers, tries = call.content(), call.all_headers(), 0
        while True:
            request = self._http.build_request(
                call.method, self._url(call), params=call.parameters(), content=content, headers=headers, timeout=self._timeout_of(call)
            )
            try:
                response = await self._http.send(request, stream=stream)
                if not response.is_success:
                    await response.aread()
            except httpx.TransportError as error:
                delay = retries.after_failure(call, tries, error)
                if delay is None:
                    raise self._failure(error) from error
            else:
                if response.is_success or _already_gone(call, tries, response):
                    return response
                delay = retries.after_refusal(call, tries, response)
                if delay is None:
                    raise refusal(response)
            tries += 1
            await self._pause(delay)

    def _url(self, call: Call) -> str:
        return call.path if call.path.startswith("/") else self._project + call.path

    def _timeout_of(self, call: Call) -> httpx.Timeout:
        if call.timeout_seconds is None:
            return self._timeout
        return httpx.Timeout(call.timeout_seconds, connect=self._timeout.connect)

    def _failure(self, error: httpx.TransportError) -> ClientError:
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            return ClientError(f"hedgerow at {self.credentials.url} did not answer in time.", code="timed_out")
        return UnreachableError(self.credentials.url, error)


def lies_outside(url: str) -> bool:
    """Whether an address lies beyond this machine: settings of its environment such as a proxy lead to those alone."""
    return httpx.URL(url).host not in _LOOPBACK


def _already_gone(call: Call, tries: int, response: httpx.Response) -> bool:
    """A DELETE that was tried before finds nothing: the first try had done it, and only its answer was lost."""
    return call.method == "DELETE" and tries > 0 and response.status_code == httpx.codes.NOT_FOUND
