"""How the control plane speaks to the agent server of a sandbox: HTTP over the unix socket that it listens on."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx

from hedgerow.domain.end_reasons import given_by_agent, plain_words
from hedgerow.domain.errors import PassingError, TimedOutError, UnavailableError
from hedgerow.domain.runs import EndReason

_CONNECT_PAUSE_SECONDS = 0.01


class AgentEndedError(UnavailableError):
    """The agent has ended by itself, and its agent server says how."""

    def __init__(self, message: str, reason: EndReason) -> None:
        super().__init__(message)
        self.reason = reason


class AgentConnection:
    """One sandbox's agent server. `token` is the connection token that each call carries."""

    def __init__(self, sockets: Path, token: str) -> None:
        self._token = token
        # A socket of this machine knows no TLS: to read the authorities' certificates for it would take longer than the call.
        transport = httpx.AsyncHTTPTransport(uds=str(sockets / "agent.sock"), verify=False)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://agent-server", timeout=httpx.Timeout(10))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._http.aclose()

    async def listening(self, timeout_seconds: float) -> None:
        """Return once the agent server answers. Raises UnavailableError where it does not within `timeout_seconds`."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while not await self.healthy():  # noqa: ASYNC110 - another process makes the socket, and tells nobody
                    await asyncio.sleep(_CONNECT_PAUSE_SECONDS)
        except TimeoutError as error:
            raise TimedOutError(f"The agent server did not answer within {timeout_seconds:g} seconds.") from error

    async def healthy(self) -> bool:
        """Whether the agent server answers now."""
        try:
            return (await self._http.get("/health")).is_success
        except httpx.HTTPError:
            return False

    async def start_session(self, body: dict[str, Any], timeout_seconds: float) -> None:
        """Have the agent started; safe to repeat.

        Raises UnavailableError with the agent server's sentence where it does not start, AgentEndedError where it did, and has ended.
        """
        answer = await self._post("/session", body, timeout_seconds)
        if not answer.is_success:
            raise _refusal(answer, "The agent could not be started.")

    async def deliver(self, message_id: UUID, content: str | None, artifacts: list[dict[str, Any]]) -> None:
        """Hand a message over; when this returns, the agent server has it on disk, once, however often it is sent.

        Raises UnavailableError; of an agent that has ended by itself AgentEndedError, with the words that its agent server reports.
        """
        params: dict[str, Any] = {"message_id": str(message_id)}
        if content is not None:
            params["content"] = content
        if artifacts:
            params["artifacts"] = artifacts
        body = {"jsonrpc": "2.0", "id": str(message_id), "method": "user_message", "params": params}
        answer = await self._post("/command", body, 30.0, {"Prefer": "respond-async"})
        if answer.status_code != httpx.codes.ACCEPTED:
            raise _refusal(answer, "The agent server did not take the message.")

    async def answer(self, request_id: str, option_id: str | None, given: Mapping[str, Any]) -> bool:
        """Hand the answer to a permission request over (None: it is cancelled); the same one again is taken as the first time.

        False where the agent server does not wait for it, for good. Raises UnavailableError.
        """
        choice = {"cancelled": True} if option_id is None else {"optionId": option_id, **given}
        body = {
            "jsonrpc": "2.0",
            "id": request_id,
            "method": "permission_response",
            "params": {"requestId": request_id, "again": True, **choice},
        }
        answer = await self._post("/command", body, 10.0)
        if answer.status_code == httpx.codes.BAD_REQUEST:
            return False  # it has no session any more
        try:
            document = answer.json() if answer.is_success else None
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise UnavailableError(_sentence(answer, "The agent server did not take the answer."))
        return "error" not in document

    async def cancel(self) -> None:
        """Ask the agent to stop its turn; when it has, its entries say so. Raises UnavailableError."""
        answer = await self._post("/command", {"jsonrpc": "2.0", "id": 1, "method": "cancel", "params": {}}, 10.0)
        if not answer.is_success or "error" in _object(answer):
            raise UnavailableError(_sentence(answer, "The agent server did not take the wish to stop."))

    async def close(self, timeout_seconds: float) -> bool:
        """End the agent and have the last entries handed over. Whether all were; False also where nobody answers."""
        body = {"jsonrpc": "2.0", "id": 1, "method": "close", "params": {"timeout_seconds": timeout_seconds}}
        try:
            answer = await self._post("/command", body, timeout_seconds + 5)
            result = answer.json().get("result") if answer.is_success else None
        except (UnavailableError, ValueError):
            return False
        return isinstance(result, dict) and result.get("flushed") is True

    async def _post(self, path: str, body: dict[str, Any], timeout_seconds: float, headers: dict[str, str] | None = None) -> httpx.Response:
        authorised = {"Authorization": f"Bearer {self._token}", **(headers or {})}
        try:
            return await self._http.post(path, json=body, headers=authorised, timeout=timeout_seconds)
        except httpx.TimeoutException as error:
            raise TimedOutError(f"The agent server did not answer within {timeout_seconds:g} seconds.") from error
        except httpx.HTTPError as error:
            raise PassingError("The agent server does not answer.") from error


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _refusal(answer: httpx.Response, otherwise: str) -> UnavailableError:
    ended = _object(answer).get("ended")
    if isinstance(ended, dict) and isinstance(ended.get("message"), str):
        return AgentEndedError(plain_words(ended["message"]), given_by_agent(ended.get("endReason")))
    return UnavailableError(_sentence(answer, otherwise))


def _sentence(answer: httpx.Response, otherwise: str) -> str:
    try:
        body = answer.json()
    except ValueError:
        return otherwise
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) and error else otherwise
