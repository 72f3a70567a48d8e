"""What the end reasons of runs mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class EndReasonDetail:
    """A reason of `state.end_reason` in plain words. `category` says whose affair it is; `remedy` is "" where there is nothing to mend."""

    reason: str
    category: str
    title: str
    remedy: str
    retryable: bool
    raw: Mapping[str, Any] = field(repr=False)


def end_reasons_from(body: Mapping[str, Any]) -> tuple[EndReasonDetail, ...]:
    """The reasons out of their list."""
    return tuple(
        EndReasonDetail(
            reason=each["reason"],
            category=each.get("category") or "",
            title=each.get("title") or "",
            remedy=each.get("remedy") or "",
            retryable=bool(each.get("retryable")),
            raw=each,
        )
        for each in body["results"]
    )
