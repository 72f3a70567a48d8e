"""The permission requests of a run that nobody has answered yet."""

from collections.abc import Mapping
from typing import Any

from hedgerow.cli.items import Option, Question
from hedgerow.cli.safe_text import one_line
from hedgerow.cli.transcript import Transcript
from hedgerow.client import Client, PermissionRequest, Run

_MOST = 1000


def open_questions(client: Client, run: Run) -> list[Question]:
    """The open questions of a run, oldest first.

    hedgerow keeps those of the agents that it runs itself. Those of others stand in the journal alone, so its stream is read up to the
    present.
    """
    if run.status.terminal:
        return []
    waiting = client.list_permission_requests(run, state="waiting", limit=_MOST)
    if waiting:
        return [question_of(request) for request in waiting]
    transcript = Transcript()
    for event in client.read_stream_so_far(run):
        transcript.apply(event.data)
    return list(transcript.questions.values())


def question_of(request: PermissionRequest) -> Question:
    """A permission request as a person reads it."""
    return Question(
        request_id=request.id,
        tool_call_id=str(request.tool_call.get("toolCallId")),
        title=one_line(request.tool_call.get("title") or "something"),
        options=tuple(_option(option) for option in request.options),
    )


def _option(option: Mapping[str, Any]) -> Option:
    option_id = option.get("optionId")
    return Option(id=str(option_id), name=one_line(option.get("name") or option_id), kind=str(option.get("kind")))
