"""The Slack thread that a task is mapped to."""

from starlette.responses import Response

from hedgerow.api.calls import CurrentCall
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.schemas.slack import SlackThreadWrite, slack_thread_detail
from hedgerow.operations import slack


async def retrieve_slack_thread(call: CurrentCall) -> Response:
    """The Slack thread that the runs of the task are told in."""
    return JsonResponse(slack_thread_detail(await slack.mapped_thread(call.backends, call.caller, call.project, call.task_id)))


async def map_slack_thread(call: CurrentCall, body: SlackThreadWrite) -> Response:
    """Have the runs of the task told in a Slack thread; another one replaces it."""
    mapped = await slack.map_thread(call.backends, call.caller, call.project, call.task_id, body.url)
    return JsonResponse(slack_thread_detail(mapped), 201)


async def unmap_slack_thread(call: CurrentCall) -> Response:
    """Tell the runs of the task in no Slack thread any more."""
    await slack.unmap_thread(call.backends, call.caller, call.project, call.task_id)
    return Response(status_code=204)
