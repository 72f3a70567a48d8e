"""The bodies of answers that tell an error: two families, which the contract calls E1, and E2 with E3 (1.4)."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

_CLOSED = ConfigDict(json_schema_extra={"additionalProperties": False})
_MISSING = Field(None, description="The ids that are not known, in the order in which they were asked for. Only where ids were at fault.")


class ProblemType(StrEnum):
    """What kind of error it is."""

    VALIDATION_ERROR = "validation_error"
    INVALID_REQUEST = "invalid_request"
    AUTHENTICATION_ERROR = "authentication_error"
    THROTTLED_ERROR = "throttled_error"
    SERVER_ERROR = "server_error"


class Problem(BaseModel):
    """An error of the request: what is wrong with it, and where. All four fields are always there."""

    model_config = _CLOSED

    type: ProblemType
    code: str = Field(description="The error in a word, for programs: `required`, `invalid_choice`, `not_found` ...")
    detail: str = Field(description="The error in a sentence, for people.")
    attr: str | None = Field(description="The field at fault; the steps of a path are joined by `__`. Null where it is no field.")


class Refusal(BaseModel):
    """A rule of the product forbids this now, or the agent behind it did not answer."""

    model_config = _CLOSED

    error: str = Field(description="The reason in a sentence.")
    missing_artifact_ids: list[str] | None = _MISSING


class RunRefusal(BaseModel):
    """What a new run names does not exist: a run to resume from, a sandbox environment, artifacts."""

    model_config = _CLOSED

    detail: str = Field(description="The reason in a sentence.")
    missing_artifact_ids: list[str] | None = _MISSING


FAMILIES: dict[str, type[BaseModel]] = {"error": Refusal, "detail": RunRefusal}
"""The bodies of refusals, by the name of their field."""
