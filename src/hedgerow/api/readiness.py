"""How ready a repository is for an agent that works on its own (contract 10), and the counts that are reported for it."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from hedgerow.api.calls import CurrentCall
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.schemas.readiness import InsightCountWrite, ReadinessQuery, insight_count
from hedgerow.api.schemas.readiness import repository_readiness as shown
from hedgerow.operations import readiness


async def repository_readiness(call: CurrentCall, query: Annotated[ReadinessQuery, Query()]) -> Response:
    """How ready a repository is. Until it was looked into for the first time, its states are `unknown`: ask again."""
    answer = await readiness.repository_readiness(
        call.backends, call.caller, call.project, repository=query.repository, window_days=query.window_days, refresh=query.refresh
    )
    return JsonResponse(shown(answer))


async def report_insight_count(call: CurrentCall, body: InsightCountWrite) -> Response:
    """Report how often an event or an error issue was seen on a day. The same day again replaces what was reported."""
    return JsonResponse(insight_count(await readiness.report_count(call.backends, call.caller, call.project, body.reported())))
