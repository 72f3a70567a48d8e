"""How an endpoint is declared. A new one is a function and a line in `routes.py`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from hedgerow.api.bodies import ORDINARY_BODY_BYTES
from hedgerow.domain.access import Scope

Handler = Callable[..., Awaitable[Response]]
Lingers = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method of one path, and everything about it that is not its own work.

    `path` ends with a slash; callers may leave it out. `plain`: the handler takes the call alone and reads the body itself,
    without FastAPI, because the endpoint is hot or streams. `open`: answered without credentials; the handler takes request and
    backends. `idempotent`: hears an Idempotency-Key; a plain handler sees to that itself. `lingers`: whether a request of these fields
    waits for others than the database, so that no transaction may stay open around it. `keeps_answer`: the handler does so at its
    beginning only, and sees to it itself (`keeping.once`) that the rest and its answer stand or fall together.
    """

    method: str
    path: str
    handler: Handler
    name: str = ""
    scope: Scope | None = None
    status: int = 200
    answers: type[BaseModel] | None = None
    media_type: str = "application/json"
    idempotent: bool = False
    lingers: Lingers | None = None
    keeps_answer: bool = False
    plain: bool = False
    open: bool = False
    lists: bool = False  # the answer of a plain endpoint is a JSON array
    limit_bytes: int = ORDINARY_BODY_BYTES
    few_at_once: bool = False  # large bodies wait until only a few others are being worked on
    takes: type[BaseModel] | None = None  # the body of a plain endpoint, for the description
    takes_form: bool = False  # the body is a form whose last field is a file
    parameters: tuple[Mapping[str, Any], ...] = ()
    errors: tuple[int, ...] = ()
    refuses: tuple[str, ...] = ()  # the families of refusals among its answers: "error", "detail"
    refuses_at: tuple[int, ...] = (400,)  # the statuses of those refusals, beside 502 and 504
    body_example: Mapping[str, Any] | None = None  # for the description; made from the schema where it is None
    answer_example: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)  # of the answer: name to description

    @property
    def operation_id(self) -> str:
        """The name of the operation in the OpenAPI document."""
        return self.name or getattr(self.handler, "__name__", self.path)

    @property
    def direct(self) -> bool:
        """Whether the handler is called without FastAPI."""
        return self.plain or self.open

    @property
    def takes_body(self) -> bool:
        """Whether a body is read."""
        return self.method in {"POST", "PUT", "PATCH"}
