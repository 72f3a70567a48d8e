"""Artifacts and the forms that take them (contract 6)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hedgerow.client.answers.reading import mapping, moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file of a run, or one staged for a run to come. `size` is in bytes; old entries have neither id nor size."""

    id: str | None
    name: str
    type: str
    source: str
    size: int | None
    content_type: str
    storage_path: str
    uploaded_at: datetime | None
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedUpload:
    """Where a file may be sent: a form at `url` with `fields` first and the file last, within `expires_in` seconds."""

    id: str
    name: str
    type: str
    source: str
    content_type: str
    storage_path: str
    expires_in: int
    url: str
    fields: Mapping[str, str] = field(repr=False)  # they hold a signature
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PresignedUrl:
    """A URL that answers with an artifact, without a key, for `expires_in` seconds."""

    url: str = field(repr=False)
    expires_in: int


def artifact_from(body: Mapping[str, Any]) -> Artifact:
    """An entry of a manifest from its JSON object (contract 6.1)."""
    return Artifact(
        id=body.get("id"),
        name=body["name"],
        type=body["type"],
        source=body.get("source") or "",
        size=body.get("size"),
        content_type=body.get("content_type") or "",
        storage_path=body["storage_path"],
        uploaded_at=moment(body.get("uploaded_at")),
        raw=body,
    )


def artifacts_from(body: Mapping[str, Any]) -> list[Artifact]:
    """A manifest from the JSON object that holds it."""
    return [artifact_from(item) for item in body["artifacts"]]


def prepared_from(body: Mapping[str, Any]) -> list[PreparedUpload]:
    """Prepared forms from the JSON object that holds them (contract 6.4)."""
    return [_prepared(item) for item in body["artifacts"]]


def _prepared(body: Mapping[str, Any]) -> PreparedUpload:
    form = body["presigned_post"]
    return PreparedUpload(
        id=body["id"],
        name=body["name"],
        type=body["type"],
        source=body.get("source") or "",
        content_type=body.get("content_type") or "",
        storage_path=body["storage_path"],
        expires_in=body["expires_in"],
        url=form["url"],
        fields=mapping(form["fields"]),
        raw=body,
    )


def presigned_from(body: Mapping[str, Any]) -> PresignedUrl:
    """A presigned URL from its JSON object (contract 6.6)."""
    return PresignedUrl(body["url"], body["expires_in"])
