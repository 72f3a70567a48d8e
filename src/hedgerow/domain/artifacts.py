"""Artifacts: files that belong to a run, named in its manifest (contract 6.1 and 6.2)."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from hedgerow.domain.clock import stamp

DEFAULT_NAME = "artifact"
FORM_SLACK_BYTES = 65_536
"""How much larger than declared an upload may be: its real size is looked at when it is finalized."""

_LONGEST_NAME_BYTES = 512  # so that a storage path is a key of any store
_LONGEST_FILE_NAME_BYTES = 200  # most file systems take 255; the rest is for what is put before it, or behind
_LONGEST_MEDIA_TYPE = 255
_ID = re.compile("[0-9a-f]{32}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_PDF = "application/pdf"


class ArtifactType(StrEnum):
    """What an artifact is for."""

    PLAN = "plan"
    CONTEXT = "context"
    REFERENCE = "reference"
    OUTPUT = "output"
    ARTIFACT = "artifact"
    TREE_SNAPSHOT = "tree_snapshot"
    USER_ATTACHMENT = "user_attachment"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRules:
    """What the operator has decided about artifacts."""

    largest_bytes: int = 31_457_280
    largest_pdf_bytes: int = 10_485_760  # of a PDF that a person attaches
    root: str = "tasks"  # the folder that every storage path begins with
    form_seconds: int = 3600  # how long an upload form is valid
    url_seconds: int = 3600  # how long a signed address of an artifact is valid
    staged_hours: float = 24.0  # how long a staged artifact waits for its run
    kept_days: float = 30.0  # how long the object of a run's artifact is kept; 0: for ever
    inline_at_once: int = 4  # how many large inline uploads are read at the same moment
    inline_seconds: float = 120.0  # how long the body of one may take to arrive


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An entry of a manifest."""

    id: str  # 32 lower-case hex characters
    name: str
    type: ArtifactType
    source: str
    size: int
    content_type: str
    storage_path: str
    uploaded_at: datetime

    def entry(self) -> dict[str, Any]:
        """The entry as the API shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "type": self.type.value,
            "source": self.source,
            "size": self.size,
            "content_type": self.content_type,
            "storage_path": self.storage_path,
            "uploaded_at": stamp(self.uploaded_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Where the artifacts of a run, or those staged for a task, lie in the object store."""

    folder: str  # without a slash at its end
    staged: bool = False

    def path(self, artifact_id: str, name: str) -> str:
        """The storage path of a new artifact."""
        return f"{self.folder}/{artifact_id}/{name}" if self.staged else f"{self.folder}/{artifact_id[:8]}_{name}"

    def holds(self, storage_path: str, artifact_id: str) -> bool:
        """Whether a path is one that this shelf gave, or may have given, to an artifact."""
        rest = storage_path.removeprefix(f"{self.folder}/")
        name = rest.removeprefix(f"{artifact_id}/" if self.staged else f"{artifact_id[:8]}_")
        return bool(_ID.fullmatch(artifact_id)) and rest != storage_path and name not in {rest, "", ".", ".."} and "/" not in name


def run_shelf(rules: ArtifactRules, project_id: int, task_id: UUID, run_id: UUID) -> Shelf:
    """Where a run's artifacts lie."""
    return Shelf(folder=f"{rules.root}/artifacts/team_{project_id}/task_{task_id}/run_{run_id}")


def staged_shelf(rules: ArtifactRules, project_id: int, task_id: UUID) -> Shelf:
    """Where artifacts wait for a run of their task."""
    return Shelf(folder=f"{rules.root}/artifacts/team_{project_id}/task_{task_id}/staged", staged=True)


def new_id() -> str:
    """The id of a new artifact."""
    return uuid4().hex


def safe_name(name: str) -> str:
    """What an artifact is called: the last part of a name that may be a path. A longer one is shortened, and keeps its ending."""
    return _last_part(name, _LONGEST_NAME_BYTES)


def file_name(name: str) -> str:
    """What the file of an artifact is called in a folder, so that no name leads out of it, or is too long for it."""
    return _last_part(name, _LONGEST_FILE_NAME_BYTES)


def _last_part(name: str, longest_bytes: int) -> str:
    base = _UNPRINTABLE.sub("_", name.replace("\\", "/").rpartition("/")[2]).strip()
    return DEFAULT_NAME if base in {"", ".", ".."} else _shortened(base, longest_bytes)


def _shortened(name: str, longest_bytes: int) -> str:
    if len(name.encode()) <= longest_bytes:
        return name
    stem, dot, ending = name.rpartition(".")
    kept = dot + ending if dot and len(ending.encode()) <= 32 else ""
    return (stem if kept else name).encode()[: longest_bytes - len(kept.encode())].decode(errors="ignore").strip() + kept


def is_media_type(text: str) -> bool:
    """Whether a content type can stand in a header; blank counts as none given."""
    return len(text) <= _LONGEST_MEDIA_TYPE and text.isascii() and text.isprintable()


def largest_bytes(rules: ArtifactRules, name: str, content_type: str, kind: ArtifactType) -> int:
    """How large an artifact may be."""
    is_pdf = name.lower().endswith(".pdf") or content_type.partition(";")[0].strip().lower() == _PDF
    if is_pdf and kind is ArtifactType.USER_ATTACHMENT:
        return min(rules.largest_pdf_bytes, rules.largest_bytes)
    return rules.largest_bytes
