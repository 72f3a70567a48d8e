"""Commands to the agent of a run (contract 9)."""

from starlette.responses import Response

from hedgerow.api.calls import CurrentCall
from hedgerow.api.protocol_errors import UnreachableError
from hedgerow.api.schemas.commands import CommandRequest
from hedgerow.domain.errors import TimedOutError, UnavailableError
from hedgerow.operations import commands


async def send_command(call: CurrentCall, body: CommandRequest) -> Response:
    """Queue a user_message, or forward any other command to the run's agent."""
    try:
        answer = await commands.send_command(call.backends, call.caller, call.project, call.task_id, call.run_id, body.command())
    except UnavailableError as error:
        raise UnreachableError(error.message, late=isinstance(error, TimedOutError)) from error
    return Response(answer, media_type="application/json")
