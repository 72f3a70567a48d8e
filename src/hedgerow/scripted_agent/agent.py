"""The ACP side of the scripted agent: sessions, modes, turns and their cancel."""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hedgerow.acp_lines import PROTOCOL_VERSION, request_error_class
from hedgerow.domain.ids import uuid7
from hedgerow.scripted_agent.plain_text import plain_text_script
from hedgerow.scripted_agent.player import Player, StepFailedError, TurnOverError
from hedgerow.scripted_agent.script import ScriptError, Step
from hedgerow.scripted_agent.script_reader import read_script

if TYPE_CHECKING:
    from acp.connection import Connection

_FAILED = -32603
_INVALID_PARAMS = -32602
_INFO = {"name": "hedgerow-scripted-agent", "title": "Scripted agent", "version": "1"}
_MODES = [
    {"id": "default", "name": "Default", "description": "Plays the script."},
    {"id": "bypassPermissions", "name": "Bypass permissions", "description": "Plays the script; whoever hosts it answers what it asks."},
]


class Session:
    """One conversation: a workspace, a mode, and at most one running turn. It is the player's way to the client."""

    def __init__(self, connection: "Connection", workspace: Path) -> None:
        self.id = str(uuid7())
        self.workspace = workspace
        self.mode = "default"
        self.turn: asyncio.Task[None] | None = None
        self._connection = connection

    async def update(self, update: Mapping[str, Any]) -> None:
        """Send a session update."""
        await self._connection.send_notification("session/update", {"sessionId": self.id, "update": dict(update)})

    async def ask(self, tool_call: Mapping[str, Any], options: list[dict[str, str]]) -> str | None:
        """Ask for permission; the id of the chosen option, None where the request was cancelled."""
        params = {"sessionId": self.id, "toolCall": dict(tool_call), "options": options}
        result = await self._connection.send_request("session/request_permission", params)
        outcome = result.get("outcome") if isinstance(result, dict) else None
        chosen = outcome.get("optionId") if isinstance(outcome, dict) else None
        return chosen if isinstance(chosen, str) else None


class ScriptedAgent:
    """Handles the calls of one client."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self._sessions: dict[str, Session] = {}

    async def handle(self, method: str, params: Any, is_notification: bool) -> Any:
        """Answer one ACP call."""
        given = params if isinstance(params, dict) else {}
        match method:
            case "initialize":
                return _hello()
            case "session/new":
                return self._new_session(given)
            case "session/set_mode":
                return await self._set_mode(self._session(given), given)
            case "session/prompt":
                return await self._prompt(self._session(given), given)
            case "session/cancel":
                return await _cancel(self._session(given))
        if is_notification:
            return None
        raise request_error_class().method_not_found(method)

    def _new_session(self, params: Mapping[str, Any]) -> dict[str, Any]:
        cwd = params.get("cwd")
        if not isinstance(cwd, str) or not Path(cwd).is_absolute() or not Path(cwd).is_dir():
            raise request_error_class()(_INVALID_PARAMS, "cwd must be the absolute path of a folder.")
        assert self.connection is not None
        session = Session(self.connection, Path(cwd))
        self._sessions[session.id] = session
        return {"sessionId": session.id, "modes": {"currentModeId": session.mode, "availableModes": _MODES}}

    async def _set_mode(self, session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
        names = [mode["id"] for mode in _MODES]
        if params.get("modeId") not in names:
            raise request_error_class()(_INVALID_PARAMS, f"modeId must be one of {', '.join(names)}.")
        session.mode = str(params["modeId"])
        await session.update({"sessionUpdate": "current_mode_update", "currentModeId": session.mode})
        return {}

    async def _prompt(self, session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
        error_class = request_error_class()
        if session.turn is not None:
            raise error_class(_FAILED, "A turn is running already.")
        try:
            steps = _script(params, session.workspace)
            session.turn = asyncio.create_task(Player(session, session.workspace).play(steps))
            await asyncio.wait({session.turn})
            return _result(session.turn)
        except ScriptError as error:
            raise error_class(_INVALID_PARAMS, str(error)) from error
        except StepFailedError as error:
            raise error_class(_FAILED, str(error)) from error
        finally:
            session.turn = None

    def _session(self, params: Mapping[str, Any]) -> Session:
        session = self._sessions.get(str(params.get("sessionId")))
        if session is None:
            raise request_error_class()(_INVALID_PARAMS, "sessionId must be the id of a session of this agent.")
        return session

    async def close(self) -> None:
        """End what is running: the client has gone."""
        for session in self._sessions.values():
            await _cancel(session)


def _hello() -> dict[str, Any]:
    return {
        "protocolVersion": PROTOCOL_VERSION,
        "agentCapabilities": {"loadSession": False, "promptCapabilities": {"image": False, "audio": False, "embeddedContext": False}},
        "agentInfo": _INFO,
        "authMethods": [],
    }


def _script(params: Mapping[str, Any], workspace: Path) -> tuple[Step, ...]:
    blocks = params.get("prompt")
    texts = [block.get("text") for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
    prompt = "\n".join(text for text in texts if isinstance(text, str))
    steps = read_script(prompt)
    return plain_text_script(prompt, workspace) if steps is None else steps


def _result(turn: "asyncio.Task[None]") -> dict[str, Any]:
    if turn.cancelled():
        return {"stopReason": "cancelled"}
    with contextlib.suppress(TurnOverError):
        turn.result()
    return {"stopReason": "end_turn"}


async def _cancel(session: Session) -> None:
    if session.turn is not None:
        session.turn.cancel()
        await asyncio.wait({session.turn})
