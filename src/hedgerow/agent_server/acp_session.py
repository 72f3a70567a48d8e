"""One ACP session with a running agent: what is said in both directions becomes journal entries on its way."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hedgerow.acp_lines import PROTOCOL_VERSION, Direction, LineTransport, connection_class, request_error_class
from hedgerow.agent_server import AGENT_SERVER_VERSION
from hedgerow.agent_server.agent_process import AgentProcess
from hedgerow.agent_server.entries import EntryWriter
from hedgerow.agent_server.giving_up import GiveUp, hopeless
from hedgerow.agent_server.launch import SessionRequest
from hedgerow.agent_server.narration import Narration
from hedgerow.agent_server.wishes import Call, Offers, effort_call, mode_call, model_call
from hedgerow.domain.journal import tells_of_a_turn

if TYPE_CHECKING:
    from acp.connection import Connection

_GARBAGE_SHOWN = 20
_CANCEL_SECONDS = 5.0
_CLIENT = {"name": "hedgerow", "title": "hedgerow", "version": AGENT_SERVER_VERSION}
_CAPABILITIES = {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}

_WORDLESS = "The agent gave an error without words"

AskPermission = Callable[[Mapping[str, Any], str | None], Awaitable[dict[str, Any]]]


class AcpSession:
    """Talks to one agent. `write` takes journal entries; `ask` answers the agent's permission requests."""

    def __init__(
        self, process: AgentProcess, writer: EntryWriter, narration: Narration, *, write: Callable[[bytes], None], ask: AskPermission
    ) -> None:
        self.offers = Offers()
        self.id = ""
        self.agent_version = "unknown"
        self._process = process
        self._writer = writer
        self._narration = narration
        self._write = write
        self._ask = ask
        self._garbage = 0
        self._gives_up: tuple[GiveUp, ...] = ()
        self._pointless: asyncio.Future[str] | None = None
        self._connection: Connection | None = None

    async def open(self, request: SessionRequest, workspace: Path) -> None:
        """Initialize the agent, make a session in `workspace` and fulfil the wishes; the library's RequestError, or ConnectionError."""
        loop = asyncio.get_running_loop()
        connection_type = await loop.run_in_executor(None, connection_class)
        transport = LineTransport(self._process.stdout, self._process.stdin, observe=self._observe, garbage=self._note_garbage)
        self._connection = connection_type(self._handle, transport)
        hello = await self.call(
            "initialize", {"protocolVersion": PROTOCOL_VERSION, "clientCapabilities": _CAPABILITIES, "clientInfo": _CLIENT}
        )
        info = hello.get("agentInfo")
        self.agent_version = str(info.get("version", "unknown")) if isinstance(info, dict) else "unknown"
        session = {"cwd": str(workspace), "mcpServers": []} | ({"_meta": dict(request.session_meta)} if request.session_meta else {})
        result = await self.call("session/new", session)
        self.id = str(result.get("sessionId", ""))
        self.offers.learn(result)
        self._gives_up = request.gives_up
        await self._wish("model", request.model, model_call)
        await self._wish("reasoning effort", request.reasoning_effort, effort_call)
        await self._wish("session mode", request.agent_mode, mode_call)

    async def call(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """An ACP request and its result; the library's RequestError where the agent refuses, ConnectionError where it is gone."""
        assert self._connection is not None
        try:
            result = await self._connection.send_request(method, dict(params))
        except RuntimeError as error:  # the stream to the agent is closed already
            raise ConnectionError("The agent has closed its input.") from error
        return result if isinstance(result, dict) else {}

    async def prompt(self, blocks: list[dict[str, Any]]) -> dict[str, Any]:
        """One turn, from the message to its result; RequestError also where it turns out to be pointless."""
        self._narration.begin_turn()
        self._pointless = asyncio.get_running_loop().create_future()
        turn = asyncio.ensure_future(self.call("session/prompt", {"sessionId": self.id, "prompt": blocks}))
        try:
            either: set[asyncio.Future[Any]] = {turn, self._pointless}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                await self.cancel()
                await asyncio.wait({turn}, timeout=_CANCEL_SECONDS)
                raise request_error_class()(-32000, self._pointless.result())
            return turn.result()
        finally:
            turn.cancel()
            await asyncio.gather(turn, return_exceptions=True)
            self._narration.flush()

    async def cancel(self) -> None:
        """Ask the agent to end its turn."""
        assert self._connection is not None
        await self._connection.send_notification("session/cancel", {"sessionId": self.id})

    async def set_config_option(self, config_id: str, value: str) -> list[dict[str, Any]]:
        """Set one option of the agent and return how all of them stand. Session modes and models count as options."""
        if config_id == "mode" and value in self.offers.modes:
            await self.fulfil(Call("session/set_mode", {"modeId": value}))
        elif config_id == "model" and value in self.offers.models:
            await self.fulfil(Call("session/set_model", {"modelId": value}))
        else:
            await self.fulfil(Call("session/set_config_option", {"configId": config_id, "value": value}))
        return self.offers.config_options

    async def fulfil(self, call: Call) -> None:
        """Make a call that changes the session, and remember what it changed."""
        result = await self.call(call.method, {"sessionId": self.id, **call.params})
        if call.method == "session/set_mode":
            self.offers.current_mode = call.params["modeId"]
        elif call.method == "session/set_model":
            self.offers.current_model = call.params["modelId"]
        self.offers.learn_options(result)

    async def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            await self._connection.close()
        self._narration.flush()

    async def _wish(self, what: str, wish: str | None, find: Callable[[Offers, str], Call | None]) -> None:
        if wish is None:
            return
        try:
            call = find(self.offers, wish)
            if call is not None:
                await self.fulfil(call)
        except LookupError as error:
            self._write(self._writer.console("warn", f"The agent has no {what} {wish!r}; it offers {error.args[0]}."))
        except request_error_class() as error:
            self._write(self._writer.console("warn", f"The agent did not take the {what} {wish!r}: {error}."))

    def _observe(self, direction: Direction, line: bytes, message: dict[str, Any]) -> bool:
        params = message.get("params")
        if direction == "incoming" and message.get("method") == "session/update" and isinstance(params, dict):
            update = params.get("update")
            if isinstance(update, dict):
                self.offers.learn_update(update)
            if not self._narration.takes(params):
                self._write(self._writer.raw(line))
            return True
        self._narration.flush()
        method = message.get("method")
        if direction == "incoming" and isinstance(method, str) and tells_of_a_turn(method):
            # The control plane would take it for a word of this server, and the turn for over.
            self._write(self._writer.console("warn", f"The agent sent {method}, which is not for it to say; it was left out."))
            return True
        self._write(self._writer.raw(line))
        if direction == "incoming" and self._pointless is not None and not self._pointless.done():
            sentence = hopeless(self._gives_up, message)
            if sentence is not None:
                self._pointless.set_result(sentence)
        return False

    async def _handle(self, method: str, params: Any, is_notification: bool) -> Any:
        """What the agent asks of its client. Everything but permission is its own to do: it lives where the files are."""
        if is_notification:
            return None
        if method == "session/request_permission" and isinstance(params, dict):
            return await self._ask(params, self.offers.current_mode)
        raise request_error_class().method_not_found(method)

    def _note_garbage(self, line: bytes) -> None:
        self._garbage += 1
        if self._garbage <= _GARBAGE_SHOWN:
            shown = self._writer.mask.data(line)[:300].decode(errors="replace")
            self._write(self._writer.console("warn", f"The agent wrote a line that is no message: {shown}"))


def sentence_of(error: BaseException) -> str:
    """What an error of an ACP call says to people: its message, and the details that agents put into `data`."""
    message = str(error).strip() or _WORDLESS
    data = getattr(error, "data", None)
    details = data.get("details") or data.get("message") if isinstance(data, dict) else data
    if isinstance(details, str) and details.strip() and details.strip() not in message:
        message = f"{message.rstrip('.')}: {details.strip()}"
    return message
