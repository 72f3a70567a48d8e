"""A call: a request whose caller and project are known, as every endpoint gets it."""

from dataclasses import dataclass, field
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from starlette.requests import Request

from hedgerow.api.paging import Window, window
from hedgerow.domain.access import Caller, Project
from hedgerow.domain.errors import NotFoundError
from hedgerow.operations.backends import Backends

SCOPE_KEY = "hedgerow.call"
SENT_PATH = "hedgerow.sent_path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Who asks for what. `raw` is the body as it came, empty where the endpoint takes none; `key` the Idempotency-Key, where one counts."""

    request: Request
    backends: Backends
    caller: Caller
    raw: bytes = field(default=b"", repr=False)
    key: str | None = None
    of_project: Project | None = None

    @property
    def project(self) -> Project:
        """The project that the URL names. Only for endpoints below /api/projects/{project_id}/."""
        assert self.of_project is not None, "this endpoint is not below a project"
        return self.of_project

    @property
    def task_id(self) -> UUID:
        """The task that the URL names; NotFoundError where that is no UUID."""
        return self._id("task_id")

    @property
    def run_id(self) -> UUID:
        """The run that the URL names; NotFoundError where that is no UUID."""
        return self._id("run_id")

    @property
    def message_id(self) -> UUID:
        """The message that the URL names; NotFoundError where that is no UUID."""
        return self._id("message_id")

    @property
    def window(self) -> Window:
        """The part of a list that is wanted."""
        return window(self.request.query_params)

    @property
    def url(self) -> str:
        """The absolute address that was called, as the client wrote its path, without the query."""
        return self.backends.rules.public_url + str(self.request.scope.get(SENT_PATH, self.request.url.path))

    def path_id(self, name: str) -> UUID:
        """The UUID that the URL names in one of its places; NotFoundError where that is none."""
        return self._id(name)

    def _id(self, name: str) -> UUID:
        return uuid_in_path(self.request.path_params[name])


def uuid_in_path(text: str) -> UUID:
    """The UUID that a path holds, with or without its dashes. NotFoundError for anything else (contract 1.3)."""
    try:
        if len(text) in {32, 36}:
            return UUID(text)
    except ValueError:
        pass
    raise NotFoundError


async def _current_call(request: Request) -> Call:
    call: Call = request.scope[SCOPE_KEY]
    return call


CurrentCall = Annotated[Call, Depends(_current_call)]
"""The parameter by which an endpoint gets its call."""
