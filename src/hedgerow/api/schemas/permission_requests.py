"""Permission requests of agents, over the wire."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from hedgerow.api.schemas.fields import Optionally, RequestModel
from hedgerow.domain.journal import wire_time
from hedgerow.domain.permission_requests import PermissionRequest as DomainPermissionRequest
from hedgerow.domain.permission_requests import RequestState


class PermissionRequest(BaseModel):
    """What an agent asks leave for. It is answered with command permission_response, once."""

    id: str = Field(description="The requestId of the command that answers it.")
    task: UUID
    run: UUID
    state: RequestState = Field(description="expired: rejected, since nobody answered in time; void: the agent waits no more.")
    options: list[dict[str, Any]] = Field(description="What can be answered: each with optionId, name and kind.")
    tool_call: dict[str, Any]
    asked_at: datetime
    deadline: datetime | None = Field(description="When it is rejected where nobody has answered. Null: it waits as long as its run lives.")
    option_id: str | None = Field(description="The answer. Null beside answered_at: no option says no, so the request was cancelled.")
    custom_input: str | None
    answers: dict[str, str] | None
    answered_at: datetime | None
    answered_by: int | None = Field(description="The id of the person who answered.")
    reason: str | None = Field(description="Why it expired or is void.")
    delivered_at: datetime | None = Field(description="Since when the agent has the answer.")


class PermissionRequestPage(BaseModel):
    """A page of permission requests, oldest first."""

    count: int
    next: str | None
    previous: str | None
    results: list[PermissionRequest]


class PermissionRequestQuery(RequestModel):
    """What a list of permission requests is narrowed by."""

    state: Optionally[RequestState] = Field(None, description="Only those that stand there.")


def permission_request_detail(request: DomainPermissionRequest) -> dict[str, Any]:
    """A permission request as the API shows it."""
    answer = request.answer
    given = {} if answer is None else answer.input
    return {
        "id": request.id,
        "task": str(request.task_id),
        "run": str(request.run_id),
        "state": request.state.value,
        "options": list(request.options),
        "tool_call": dict(request.tool_call),
        "asked_at": wire_time(request.asked_at),
        "deadline": wire_time(request.deadline),
        "option_id": None if answer is None else answer.option_id,
        "custom_input": given.get("customInput"),
        "answers": given.get("answers"),
        "answered_at": wire_time(request.answered_at),
        "answered_by": request.answered_by,
        "reason": request.reason,
        "delivered_at": wire_time(request.delivered_at),
    }
