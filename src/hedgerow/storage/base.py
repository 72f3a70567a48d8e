"""What every object store promises. A store knows keys and bytes: no run, no task, no manifest."""

from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """What a store knows of an object. `content_type` is "" where none was given."""

    key: str
    size_bytes: int
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it is at one moment: what is known of it, and just those bytes, whoever replaces or removes it meanwhile."""

    info: ObjectInfo
    pieces: AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadForm:
    """A signed form: whoever holds it may post one file to `url`, all `fields` first, the field `file` last."""

    url: str
    fields: Mapping[str, str] = field(repr=False)


class ObjectStore(Protocol):
    """A place for bytes under keys such as `tasks/artifacts/team_1/…`.

    Of an object, however large, a bounded part is held in memory: pieces of at most 1 MB, and where a store takes uploads in larger
    parts only (S3: 5 MiB) a few of those parts.

    Every method raises UnavailableError where the store does not answer or refuses us, with the cause kept, and InvalidError
    (attr `key`) for a key that `keys.check_key` refuses.
    """

    async def put(self, key: str, pieces: AsyncIterable[bytes], *, content_type: str = "") -> ObjectInfo:
        """Store an object, or replace it, once all pieces have come; when this is cut short nothing is stored."""
        ...

    async def head(self, key: str) -> ObjectInfo | None:
        """What is known of an object; None where there is none."""
        ...

    async def read(self, key: str) -> StoredObject:
        """The object, in pieces. Raises NotFoundError, before the first piece, where there is none."""
        ...

    async def delete(self, key: str) -> None:
        """Remove an object; safe to repeat."""
        ...

    async def tag(self, key: str, tags: Mapping[str, str]) -> None:
        """Put tags on an object, for the operator's own rules. Best effort: a store without tags does nothing."""
        ...

    async def upload_form(self, key: str, *, content_type: str, largest_bytes: int, expires_at: datetime, public_url: str) -> UploadForm:
        """A form for one object: exactly this key, at most this size, exactly this type unless it is "", until then.

        `public_url` is where clients reach hedgerow; a store that is served by others does not need it.
        """
        ...

    async def read_url(self, key: str, *, expires_at: datetime, public_url: str) -> str:
        """An address that gives the object's bytes to anybody, until then."""
        ...

    async def close(self) -> None:
        """Give back what is open."""
        ...
