"""What each end reason of a run means: the same for every hedgerow of this version, so anybody may ask."""

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from hedgerow.api.json_bytes import JsonResponse
from hedgerow.domain.end_reasons import EXPLANATIONS, EndCategory
from hedgerow.domain.runs import EndReason
from hedgerow.operations.backends import Backends


class EndReasonDetail(BaseModel):
    """One of the reasons in `state.end_reason` of ended runs, in plain words."""

    reason: EndReason
    category: EndCategory = Field(description="Whose affair such an end is.")
    title: str
    remedy: str = Field(description="What helps; empty where there is nothing to mend.")
    retryable: bool = Field(description="Whether the same run, tried again as it is, may well end otherwise.")


class EndReasonList(BaseModel):
    """Every end reason there is."""

    results: list[EndReasonDetail]


async def list_end_reasons(_request: Request, _backends: Backends) -> Response:
    """Every reason that a run may end for, and what it means."""
    found = [
        {
            "reason": reason.value,
            "category": explanation.category.value,
            "title": explanation.title,
            "remedy": explanation.remedy,
            "retryable": explanation.retryable,
        }
        for reason, explanation in ((reason, EXPLANATIONS[reason]) for reason in EndReason)
    ]
    return JsonResponse({"results": found})
