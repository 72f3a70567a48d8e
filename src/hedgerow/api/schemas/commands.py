"""Commands over the wire (contract 9.1)."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from hedgerow.api.schemas.fields import FORM_JSON, RequestModel, fault, refuse_nul
from hedgerow.domain.commands import Command, CommandMethod

_ID_SCHEMA = {"anyOf": [{"type": kind} for kind in ("string", "number", "null")]}


def _request_id(value: Any) -> Any:
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    if isinstance(value, str):
        return refuse_nul(_encodable(value))
    raise fault("The id must be a string, a number or null.")


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise fault("The id holds a lone surrogate, which is no text.") from error
    return text


RequestId = Annotated[Any, BeforeValidator(_request_id), WithJsonSchema(_ID_SCHEMA)]


class CommandRequest(RequestModel):
    """The body of a command: JSON-RPC 2.0."""

    jsonrpc: Literal["2.0"]
    method: CommandMethod
    params: Annotated[dict[str, Any], FORM_JSON] = Field(default_factory=dict)
    id: RequestId = None

    def command(self) -> Command:
        """What the operation is asked for."""
        return Command(method=self.method, params=self.params, id=self.id)


class CommandAnswer(BaseModel):
    """The answer of the agent, or of the queue: a JSON-RPC answer."""

    model_config = ConfigDict(extra="allow")

    jsonrpc: str | None = None
    id: Any = None
    result: Any = None
    error: Any = None
