"""Artifacts over the wire (contract 6)."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from hedgerow.api.schemas.fields import ContentType, RequestModel, Size, Text64, Words128, Words255, Words500
from hedgerow.api.schemas.runs import Artifact
from hedgerow.domain.artifacts import ArtifactType
from hedgerow.operations.artifacts import InlineArtifact
from hedgerow.operations.uploads import PreparedUpload, SentUpload, WantedUpload


class Manifest(BaseModel):
    """Entries of a manifest."""

    artifacts: list[Artifact]


class PresignedPost(BaseModel):
    """A form: send all fields first, then the file as the field `file`."""

    url: str
    fields: dict[str, str]


class PreparedArtifact(BaseModel):
    """An upload that was prepared."""

    id: str
    name: str
    type: ArtifactType
    source: str
    size: int
    content_type: str
    storage_path: str
    expires_in: int = Field(description="Seconds.")
    presigned_post: PresignedPost


class PreparedArtifacts(BaseModel):
    """Uploads that were prepared, in the order of the request."""

    artifacts: list[PreparedArtifact]


class SignedAddress(BaseModel):
    """An address that is answered without a key, for a while."""

    url: str
    expires_in: int = Field(description="Seconds.")


class _Named(RequestModel):
    name: Words255
    type: ArtifactType
    source: Text64 = ""


class _Inline(_Named):
    content: Annotated[str, Field(min_length=1, description="Kept byte for byte.")]
    content_encoding: Literal["utf-8", "base64"] = "utf-8"
    content_type: ContentType = ""


class _Wanted(_Named):
    size: Size
    content_type: ContentType = ""


class _Sent(RequestModel):
    id: Words128
    name: Words255
    type: ArtifactType
    source: Text64 = ""
    storage_path: Words500
    content_type: ContentType = ""


class ArtifactUpload(RequestModel):
    """The body of artifacts/."""

    artifacts: Annotated[list[_Inline], Field(min_length=1)]

    def items(self) -> list[InlineArtifact]:
        """What the operation is asked for."""
        return [
            InlineArtifact(
                name=item.name,
                type=item.type,
                source=item.source,
                content=item.content,
                is_base64=item.content_encoding == "base64",
                content_type=item.content_type,
            )
            for item in self.artifacts
        ]


class ArtifactPrepare(RequestModel):
    """The body of prepare_upload."""

    artifacts: Annotated[list[_Wanted], Field(min_length=1)]

    def items(self) -> list[WantedUpload]:
        """What the operation is asked for."""
        return [WantedUpload(**{name: getattr(item, name) for name in _Wanted.model_fields}) for item in self.artifacts]


class ArtifactFinalize(RequestModel):
    """The body of finalize_upload."""

    artifacts: Annotated[list[_Sent], Field(min_length=1)]

    def items(self) -> list[SentUpload]:
        """What the operation is asked for."""
        return [SentUpload(**{name: getattr(item, name) for name in _Sent.model_fields}) for item in self.artifacts]


class ArtifactPlace(RequestModel):
    """The body of presign and download."""

    storage_path: Words500


def prepared_detail(upload: PreparedUpload) -> dict[str, Any]:
    """A prepared upload as the API shows it."""
    return {
        "id": upload.id,
        "name": upload.name,
        "type": upload.type.value,
        "source": upload.source,
        "size": upload.size,
        "content_type": upload.content_type,
        "storage_path": upload.storage_path,
        "expires_in": upload.expires_in,
        "presigned_post": {"url": upload.form.url, "fields": dict(upload.form.fields)},
    }
