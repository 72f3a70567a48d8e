"""The inbox of a run: its messages, in order, and what can be done with those that wait (contract 13.4)."""

from starlette.responses import Response

from hedgerow.api.calls import CurrentCall
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.paging import page
from hedgerow.api.schemas.messages import MessageMove, message_detail
from hedgerow.operations import messages
from hedgerow.operations.pages import Paging


async def list_messages(call: CurrentCall) -> Response:
    """The messages of a run, in the order in which its agent hears them."""
    part = call.window
    paging = Paging(limit=part.limit, offset=part.offset)
    found = await messages.list_messages(call.backends, call.caller, call.project, call.task_id, call.run_id, paging)
    shown = [message_detail(message) for message in found.items]
    return JsonResponse(page(shown, found.count, part, call.url, call.request.query_params))


async def move_message(call: CurrentCall, body: MessageMove) -> Response:
    """Let a message that waits be heard earlier or later. 409 once it was taken."""
    moved = await messages.move_message(call.backends, call.caller, call.project, call.task_id, call.run_id, call.message_id, body.position)
    return JsonResponse(message_detail(moved))


async def delete_message(call: CurrentCall) -> Response:
    """Take a message that waits back, so that the agent never hears it. 409 once it was taken."""
    await messages.delete_message(call.backends, call.caller, call.project, call.task_id, call.run_id, call.message_id)
    return Response(status_code=204)


async def promote_message(call: CurrentCall) -> Response:
    """Have a message that waits said at once. 400 while an agent works that hears nobody before its turn is over."""
    promoted = await messages.promote_message(call.backends, call.caller, call.project, call.task_id, call.run_id, call.message_id)
    return JsonResponse(message_detail(promoted))


async def demote_message(call: CurrentCall) -> Response:
    """Have a message that waits said after all others. 409 once it was taken."""
    demoted = await messages.demote_message(call.backends, call.caller, call.project, call.task_id, call.run_id, call.message_id)
    return JsonResponse(message_detail(demoted))
