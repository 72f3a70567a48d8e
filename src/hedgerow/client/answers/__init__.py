"""What hedgerow answers, as far as a client reads it. `raw` keeps the whole JSON object, unknown fields included.

Each module is imported when it is first asked for as an attribute of this package: most programs see few kinds of answers, and the
command line starts sooner without the others.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hedgerow.client.answers import (
        accounts,
        artifacts,
        audit,
        end_reasons,
        environments,
        integrations,
        logs,
        messages,
        pages,
        permission_requests,
        readiness,
        repositories,
        runs,
        tasks,
    )

__all__ = [
    "accounts",
    "artifacts",
    "audit",
    "end_reasons",
    "environments",
    "integrations",
    "logs",
    "messages",
    "pages",
    "permission_requests",
    "readiness",
    "repositories",
    "runs",
    "tasks",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
