"""Names for what a call is about, and the paths they stand for."""

from typing import NamedTuple, Protocol
from urllib.parse import quote


class TaskPlace(Protocol):
    """Anything that tells the id of a task, such as a Task."""

    @property
    def id(self) -> str: ...


class RunPlace(Protocol):
    """Anything that tells the ids of a run and of its task, such as a Run."""

    @property
    def id(self) -> str: ...
    @property
    def task_id(self) -> str: ...


class RunId(NamedTuple):
    """A run of which only the ids are known."""

    task_id: str
    id: str


def task_path(task: TaskPlace | str) -> str:
    """The path of a task below its project."""
    return f"tasks/{quoted(task if isinstance(task, str) else task.id)}/"


def run_path(run: RunPlace) -> str:
    """The path of a run below its project."""
    return f"tasks/{quoted(run.task_id)}/runs/{quoted(run.id)}/"


def quoted(part: object) -> str:
    """One part of a path, whatever characters it has. Raises ValueError for a part that would lead elsewhere."""
    text = str(part)
    if text in {"", ".", ".."}:
        raise ValueError(f"{text!r} is not an id.")
    return quote(text, safe="@")
