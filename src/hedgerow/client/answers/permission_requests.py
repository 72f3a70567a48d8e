"""What agents ask leave for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hedgerow.client.answers.reading import made_at, mapping, moment


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionRequest:
    """A question of an agent. `state` is waiting, answered, expired or void; `option_id` is its answer."""

    id: str
    task_id: str
    run_id: str
    state: str
    options: tuple[Mapping[str, Any], ...]
    tool_call: Mapping[str, Any]
    asked_at: datetime
    deadline: datetime | None
    option_id: str | None
    answered_at: datetime | None
    answered_by: int | None
    reason: str | None
    delivered_at: datetime | None
    raw: Mapping[str, Any] = field(repr=False)


def permission_request_from(body: Mapping[str, Any]) -> PermissionRequest:
    """A permission request from its JSON object."""
    return PermissionRequest(
        id=body["id"],
        task_id=body.get("task") or "",
        run_id=body.get("run") or "",
        state=body.get("state") or "",
        options=tuple(mapping(option) for option in body.get("options") or ()),
        tool_call=mapping(body.get("tool_call")),
        asked_at=made_at(body.get("asked_at")),
        deadline=moment(body.get("deadline")),
        option_id=body.get("option_id"),
        answered_at=moment(body.get("answered_at")),
        answered_by=body.get("answered_by"),
        reason=body.get("reason"),
        delivered_at=moment(body.get("delivered_at")),
        raw=body,
    )
