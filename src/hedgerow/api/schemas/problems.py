"""The body of an answer that tells an error. One schema for all three families, as published: every field is optional (contract 1.4)."""

from pydantic import BaseModel, ConfigDict


class Problem(BaseModel):
    """An error. A real body has only the fields that apply: {type, code, detail, attr}, {error} or {detail}."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})

    detail: str | None = None
    error: str | None = None
    type: str | None = None
    code: str | None = None
    attr: str | None = None
    missing_artifact_ids: list[str] | None = None
