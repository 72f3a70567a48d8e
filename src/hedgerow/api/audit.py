"""The record of who did what in a project."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from hedgerow.api.calls import CurrentCall
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.paging import page
from hedgerow.api.schemas.audit import AuditQuery, audit_entry
from hedgerow.operations import audit
from hedgerow.operations.pages import Paging


async def list_audit(call: CurrentCall, query: Annotated[AuditQuery, Query()]) -> Response:
    """Who created, moved, answered and revoked what in the project, newest first. All filters combine."""
    part = call.window
    paging = Paging(limit=part.limit, offset=part.offset)
    found = await audit.read_audit(call.backends, call.caller, call.project, query.filters(), paging)
    return JsonResponse(page([audit_entry(entry) for entry in found.items], found.count, part, call.url, call.request.query_params))
