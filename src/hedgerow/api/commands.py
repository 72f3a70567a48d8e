"""Commands to the agent of a run (contract 9)."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from hedgerow.api.calls import CurrentCall
from hedgerow.api.protocol_errors import UnreachableError
from hedgerow.api.schemas.commands import CommandRequest
from hedgerow.domain.commands import CommandMethod
from hedgerow.domain.errors import TimedOutError, UnavailableError
from hedgerow.operations import commands


def is_forwarded(fields: Mapping[str, Any]) -> bool:
    """Whether a command goes to the agent, whose answer is waited for; a message is only put down."""
    return fields.get("method") != CommandMethod.USER_MESSAGE.value


async def send_command(call: CurrentCall, body: CommandRequest) -> Response:
    """Queue a user_message, or forward any other command to the run's agent."""
    try:
        answer = await commands.send_command(call.backends, call.caller, call.project, call.task_id, call.run_id, body.command())
    except UnavailableError as error:
        raise UnreachableError(error.message, late=isinstance(error, TimedOutError)) from error
    return Response(answer, media_type="application/json")
