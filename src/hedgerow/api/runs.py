"""Runs: list, create, retrieve, change, set the output, resume (contract 4, 5.1, 5.2, 5.4, 5.6)."""

from starlette.responses import Response

from hedgerow.api.calls import Call, CurrentCall
from hedgerow.api.errors import refusal_body
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.paging import page
from hedgerow.api.schemas.runs import TaskRunCreate, TaskRunOutput, TaskRunUpdate, run_detail
from hedgerow.api.schemas.slack import RelayMessage
from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.runs import VisibleRun
from hedgerow.operations import log_urls, outputs, relays, run_updates, runs, starts
from hedgerow.operations.pages import Paging


def show_run(call: Call, run: VisibleRun) -> dict[str, object]:
    """A run in the shape of the contract."""
    return run_detail(run, log_urls.sign(call.backends, run.id), call.backends.rules.agents)


async def list_runs(call: CurrentCall) -> Response:
    """The runs of a task, newest first."""
    part = call.window
    found = await runs.list_runs(call.backends, call.caller, call.project, call.task_id, Paging(limit=part.limit, offset=part.offset))
    shown = [show_run(call, run) for run in found.items]
    return JsonResponse(page(shown, found.count, part, call.url, call.request.query_params))


async def create_run(call: CurrentCall, body: TaskRunCreate) -> Response:
    """Make a run without starting it."""
    run = await runs.create_run(call.backends, call.caller, call.project, call.task_id, body.request(), body.environment)
    return JsonResponse(show_run(call, run), 201)


async def retrieve_run(call: CurrentCall) -> Response:
    """A run."""
    run = await runs.retrieve_run(call.backends, call.caller, call.project, call.task_id, call.run_id)
    return JsonResponse(show_run(call, run))


async def update_run(call: CurrentCall, body: TaskRunUpdate) -> Response:
    """Change the fields that are sent; `output` and `state` are merged."""
    run = await run_updates.update_run(call.backends, call.caller, call.project, call.task_id, call.run_id, body.patch())
    return JsonResponse(show_run(call, run))


async def set_output(call: CurrentCall, body: TaskRunOutput) -> Response:
    """Replace the output. One that fits the task's json_schema ends a run that the server drives."""
    run = await outputs.set_output(call.backends, call.caller, call.project, call.task_id, call.run_id, body.output)
    return JsonResponse(show_run(call, run))


async def relay_message(call: CurrentCall, body: RelayMessage) -> Response:
    """Post a text into the Slack thread that the run is mapped to; `skipped` where there is none, or the run has ended."""
    try:
        relay_id = await relays.relay_message(call.backends, call.caller, call.project, call.task_id, call.run_id, body.text)
    except UnavailableError as problem:
        return JsonResponse(refusal_body(problem.message), 503)
    return JsonResponse({"status": "skipped"} if relay_id is None else {"status": "accepted", "relay_id": str(relay_id)})


async def resume_in_cloud(call: CurrentCall) -> Response:
    """Let a run that has ended, or that its client drove, go on in the cloud."""
    run = await starts.resume_in_cloud(call.backends, call.caller, call.project, call.task_id, call.run_id)
    return JsonResponse(show_run(call, run))
