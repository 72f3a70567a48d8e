"""What can go wrong between a client and hedgerow, as one kind of exception."""

import re
from collections.abc import Sequence
from typing import Any

import httpx
import orjson


class ClientError(Exception):
    """hedgerow refused a call, or could not be asked. `message` is one sentence for people."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        attr: str | None = None,
        missing_artifact_ids: Sequence[str] = (),
    ) -> None:
        """`status` is the HTTP status where there was an answer, `code` the machine's word for the error, `attr` the field at fault.

        `missing_artifact_ids` are those of the call that the run does not have.
        """
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.attr = attr
        self.missing_artifact_ids = tuple(missing_artifact_ids)


class UnreachableError(ClientError):
    """Nothing answers at the address, or the connection broke and the call could not be made again."""

    def __init__(self, url: str, cause: Exception, message: str | None = None) -> None:
        super().__init__(message or f"hedgerow does not answer at {url}.")
        self.url = url
        self.cause = cause


class BrokenOffError(UnreachableError):
    """An answer came, but not to its end."""

    def __init__(self, url: str, cause: Exception) -> None:
        super().__init__(url, cause, f"The answer of hedgerow at {url} broke off.")


def refusal(response: httpx.Response) -> ClientError:
    """The error that an answer outside 2xx stands for, with the server's own sentence where it gives one."""
    body = _json(response)
    sentence = _sentence(body)
    if sentence is None:
        return ClientError(f"The server answered {response.status_code} without saying why.", status=response.status_code)
    assert isinstance(body, dict)
    attr, code, missing = body.get("attr"), body.get("code"), body.get("missing_artifact_ids")
    if isinstance(attr, str) and attr and attr not in sentence:
        sentence = f"{attr}: {sentence}"
    return ClientError(
        sentence,
        status=response.status_code,
        code=code if isinstance(code, str) else None,
        attr=attr if isinstance(attr, str) else None,
        missing_artifact_ids=[str(each) for each in missing] if isinstance(missing, list) else (),
    )


def upload_refusal(response: httpx.Response) -> ClientError:
    """The error that a store stands for which did not take a file; stores answer XML with a code and a sentence."""
    code = re.search(r"<Code>([^<]{1,200})</Code>", response.text)
    sentence = re.search(r"<Message>([^<]{1,500})</Message>", response.text)
    if code is None and sentence is None:
        return refusal(response)
    why = sentence or code
    assert why is not None
    return ClientError(f"The store did not take the file: {why[1]}", status=response.status_code, code=code[1] if code else None)


def store_failure(url: str, cause: Exception) -> ClientError:
    """The error that a store stands for which did not answer. Only its host is named: the rest of an address may hold a signature."""
    origin = str(httpx.URL(url).copy_with(path="/", query=None, fragment=None))
    return ClientError(f"The store at {origin} does not take the file: {str(cause) or type(cause).__name__}", code="store_unreachable")


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
