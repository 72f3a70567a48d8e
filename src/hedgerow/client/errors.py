"""What can go wrong between a client and hedgerow, as one kind of exception."""

from typing import Any

import httpx
import orjson


class ClientError(Exception):
    """hedgerow refused a call, or could not be asked. `message` is one sentence for people."""

    def __init__(self, message: str, *, status: int | None = None, code: str | None = None) -> None:
        """`status` is the HTTP status where there was an answer; `code` is the machine's word for the error."""
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code


class UnreachableError(ClientError):
    """Nothing answers at the address."""

    def __init__(self, url: str, cause: Exception) -> None:
        super().__init__(f"hedgerow does not answer at {url}.")
        self.url = url
        self.cause = cause


def refusal(response: httpx.Response) -> ClientError:
    """The error that an answer outside 2xx stands for, with the server's own sentence where it gives one."""
    body = _json(response)
    sentence = _sentence(body)
    if sentence is None:
        return ClientError(f"The server answered {response.status_code} without saying why.", status=response.status_code)
    assert isinstance(body, dict)
    attr, code = body.get("attr"), body.get("code")
    if isinstance(attr, str) and attr and attr not in sentence:
        sentence = f"{attr}: {sentence}"
    return ClientError(sentence, status=response.status_code, code=code if isinstance(code, str) else None)


def _json(response: httpx.Response) -> Any:
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None


def _sentence(body: Any) -> str | None:
    if not isinstance(body, dict):
        return None
    error = body.get("error")
    if isinstance(error, dict):
        error = error.get("message")
    for candidate in (body.get("detail"), error):
        if isinstance(candidate, str) and candidate.strip():
            return candidate.strip()
    return None
