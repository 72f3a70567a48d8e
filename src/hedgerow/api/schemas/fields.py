"""Kinds of fields that requests are made of, and how each refuses what it is not (contract 1.1 and 1.4)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, StringConstraints, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError

from hedgerow.api.json_bytes import parse_json
from hedgerow.api.protocol_errors import MalformedError
from hedgerow.domain.artifacts import is_media_type

LARGEST_INTEGER = 2**31 - 1
LARGEST_SIZE = 2**50


class RequestModel(BaseModel):
    """The body or query of a request. Unknown fields are ignored; `given()` tells an absent field from a null one."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    def given(self) -> dict[str, Any]:
        """The fields that the client sent, by name."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}


def fault(sentence: str, code: str = "invalid_input", *, attr: str | None = None) -> PydanticCustomError:
    """An error with a code of the contract, to be raised by a validator. `attr` names another field than the validated one."""
    context: dict[str, Any] = {"code": code, "sentence": sentence} | ({} if attr is None else {"attr": attr})
    return PydanticCustomError("contract", "{sentence}", context)


class FormText(str):
    """A value of a form. Forms know neither lists nor other JSON: the field says what its text stands for."""

    __slots__ = ()


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, FormText) else value


def _parsed(value: Any) -> Any:
    if not isinstance(value, FormText):
        return value
    try:
        return parse_json(value.encode())
    except (MalformedError, UnicodeEncodeError) as error:
        raise fault("In a form, this field holds a JSON document.") from error


FORM_LIST = BeforeValidator(_listed)
"""Stands at a list: a form that gives its name once gives a list of one."""

FORM_JSON = BeforeValidator(_parsed)
"""Stands at what is neither text nor a list: a form holds it as a JSON document."""


def one_of(value: str, choices: Sequence[str]) -> str:
    """`value`, unless it is none of `choices`."""
    if value not in choices:
        raise fault(f'"{value}" is not a valid choice: use one of {", ".join(choices)}.', "invalid_choice")
    return value


class _NeverNull:
    """Makes a field whose type allows None, for one that was left out, refuse a null that was sent."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        assert schema["type"] == "nullable", "Optionally stands around a plain type"
        inner: CoreSchema = schema["schema"]
        return inner


Sent = TypeVar("Sent")
Optionally = Annotated[Sent | None, _NeverNull()]
"""A field that may be left out, but not be null."""


def refuse_nul(text: str) -> str:
    """`text`, unless it holds a NUL character: PostgreSQL keeps none in its text columns."""
    if "\x00" in text:
        raise fault("Null characters are not allowed.")
    return text


def _printable(text: str) -> str:
    if not is_media_type(text):
        raise fault("A content type has printable ASCII characters only.")
    return text


def refuse_null(value: Any) -> Any:
    """`value`, unless it is null: for a field that takes any other JSON."""
    if value is None:
        raise fault("This field may not be null.", "null")
    return value


def _refuse_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise fault("A valid integer is required.")
    return value


def _moment(value: Any) -> datetime:
    """An ISO 8601 date-time; one without an offset is read as UTC (contract 7.3)."""
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (AttributeError, ValueError, OverflowError) as error:
        raise fault("This must be a date and time in ISO 8601, for example 2026-05-07T10:00:00Z.") from error


_PlainText = AfterValidator(refuse_nul)

Text = Annotated[str, StringConstraints(strip_whitespace=True), _PlainText]
"""A string, blank allowed."""

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), _PlainText]
"""A string that is not blank."""

Text128 = Annotated[str, StringConstraints(strip_whitespace=True, max_length=128), _PlainText]
Words255 = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255), _PlainText]
Words100 = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), _PlainText]
Text255 = Annotated[str, StringConstraints(strip_whitespace=True, max_length=255), _PlainText]

Text64 = Annotated[str, StringConstraints(strip_whitespace=True, max_length=64), _PlainText]
Words128 = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128), _PlainText]
Words500 = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), _PlainText]

ContentType = Annotated[Text255, AfterValidator(_printable)]
"""A media type, as it stands in a header; blank allowed."""

Integer = Annotated[int, BeforeValidator(_refuse_boolean), Field(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]
"""A whole number that PostgreSQL's integer holds."""

Size = Annotated[int, BeforeValidator(_refuse_boolean), Field(ge=1, le=LARGEST_SIZE)]
"""How many bytes something has."""

Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
"""An instant, in UTC."""
