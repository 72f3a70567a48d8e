# Made from asynchronous/commands.py by scripts/blocking-client: change that file, not this one.
"""Commands to the agent of a run, and the messages that wait for it (contract 9, 13.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from hedgerow.client import answers
from hedgerow.client.blocking.caller import Caller
from hedgerow.client.calls import Call, Repeat, delete, get, patch, post
from hedgerow.client.errors import ClientError
from hedgerow.client.places import RunPlace, quoted, run_path

if TYPE_CHECKING:
    from hedgerow.client.answers.messages import Message
    from hedgerow.client.answers.pages import Page
    from hedgerow.client.answers.permission_requests import PermissionRequest
    from hedgerow.client.fields import GitState

# 502 and 504 tell what came of a command at the agent; another try would be another command.
_PASSING = frozenset({503})


class CommandCalls(Caller):
    """What one can say to the agent of a run."""

    def send_command(self, run: RunPlace, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Ask the agent of a run for something and wait for its answer: the result of the JSON-RPC call.

        Raises ClientError with the code agent_refused where the agent answers with an error.
        """
        answer = self._ask(
            Call(
                method="POST",
                path=f"{run_path(run)}command/",
                body={"jsonrpc": "2.0", "method": method, "params": dict(params or {}), "id": uuid4().hex},
                repeat=Repeat.UNDER_ITS_KEY,
                passing=_PASSING,
                timeout_seconds=self._command_timeout_seconds,
            ),
            lambda body: body,
        )
        error = answer.get("error") if isinstance(answer, dict) else None
        if error is not None:
            message = error.get("message") if isinstance(error, dict) else error
            raise ClientError(str(message), status=200, code="agent_refused")
        return answer.get("result") if isinstance(answer, dict) else None

    def send_message(self, run: RunPlace, content: str | None = None, *, artifact_ids: Sequence[str] = ()) -> str | None:
        """Put a message, artifacts of the run, or both into the inbox of a run. The agent gets it once its present turn is over.

        The message's id, where the server names it: what becomes of the message are events of the run's stream, of type `message_status`.
        """
        params = ({} if content is None else {"content": content}) | ({"artifact_ids": list(artifact_ids)} if artifact_ids else {})
        result = self.send_command(run, "user_message", params)
        message_id = result.get("messageId") if isinstance(result, dict) else None
        return message_id if isinstance(message_id, str) else None

    def cancel_turn(self, run: RunPlace) -> None:
        """Ask the agent to break off its present turn."""
        self.send_command(run, "cancel")

    def close_session(self, run: RunPlace, *, local_git_state: GitState | None = None) -> None:
        """Ask the agent to end its session."""
        self.send_command(run, "close", {} if local_git_state is None else {"localGitState": local_git_state})

    def answer_permission(
        self,
        run: RunPlace,
        request_id: str,
        option_id: str,
        *,
        custom_input: str | None = None,
        answers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer a permission request of the agent by one of its options. Raises ClientError with the code agent_refused where somebody
        has answered before.
        """
        params: dict[str, Any] = {"requestId": request_id, "optionId": option_id}
        params |= {} if custom_input is None else {"customInput": custom_input}
        params |= {} if answers is None else {"answers": dict(answers)}
        self.send_command(run, "permission_response", params)

    def list_permission_requests(
        self, run: RunPlace, *, state: str | None = None, limit: int = 100, offset: int = 0
    ) -> Page[PermissionRequest]:
        """What the agent of a run has asked leave for, oldest first: one page. `state` waiting: what nobody has answered."""
        return self._ask(
            get(f"{run_path(run)}permission_requests/", state=state, limit=limit, offset=offset),
            answers.pages.page_of(answers.permission_requests.permission_request_from),
        )

    def list_project_permission_requests(self, *, state: str | None = None, limit: int = 100, offset: int = 0) -> Page[PermissionRequest]:
        """The same of all runs of the project."""
        return self._ask(
            get("permission_requests/", state=state, limit=limit, offset=offset),
            answers.pages.page_of(answers.permission_requests.permission_request_from),
        )

    def set_config_option(self, run: RunPlace, config_id: str, value: str) -> Any:
        """Set an option of the agent's session, such as its mode or model; the options as they are then."""
        return self.send_command(run, "set_config_option", {"configId": config_id, "value": value})

    def list_messages(self, run: RunPlace, *, limit: int = 100, offset: int = 0) -> Page[Message]:
        """The messages of a run, those that the agent has and those that wait, in its order: one page."""
        return self._ask(get(f"{run_path(run)}messages/", limit=limit, offset=offset), answers.pages.page_of(answers.messages.message_from))

    def move_message(self, run: RunPlace, message_id: str, position: int) -> Message:
        """Give a waiting message another place. Raises ClientError with status 409 once the agent has it."""
        return self._ask(patch(_message_path(run, message_id), {"position": position}), answers.messages.message_from)

    def delete_message(self, run: RunPlace, message_id: str) -> None:
        """Take a waiting message back. Raises ClientError with status 409 once the agent has it."""
        self._answer(delete(_message_path(run, message_id)))

    def promote_message(self, run: RunPlace, message_id: str) -> Message:
        """Have a waiting message said at once, or next. Raises ClientError with status 409 once the agent has it."""
        return self._ask(post(f"{_message_path(run, message_id)}promote/", repeat=Repeat.FREELY), answers.messages.message_from)

    def demote_message(self, run: RunPlace, message_id: str) -> Message:
        """Have a waiting message said after all others. Raises ClientError with status 409 once the agent has it."""
        return self._ask(post(f"{_message_path(run, message_id)}demote/", repeat=Repeat.FREELY), answers.messages.message_from)


def _message_path(run: RunPlace, message_id: str) -> str:
    return f"{run_path(run)}messages/{quoted(message_id)}/"
