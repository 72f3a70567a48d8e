"""Lets open streams end when the server stops: each of their handlers sees its client leave, and the client a clean end."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class EndsStreams:
    """An ASGI application around another: once `stop` is set, whoever waits for its client to leave hears that it has left."""

    def __init__(self, app: ASGIApp, stop: asyncio.Event) -> None:
        self._app = app
        self._stop = stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        exchange = _Exchange(receive, send, self._stop)
        await self._app(scope, exchange.receive, exchange.send)
        if exchange.answering and self._stop.is_set():
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Exchange:
    """One request and its answer."""

    def __init__(self, receive: Receive, send: Send, stop: asyncio.Event) -> None:
        self._receive, self._send, self._stop = receive, send, stop
        self._read = False
        self.answering = False  # an answer has begun and is not complete

    @property
    def transport(self) -> object:
        """The connection beneath, as uvicorn has it: whoever streams to a client that does not read cuts it off there."""
        return getattr(getattr(self._send, "__self__", None), "transport", None)

    async def receive(self) -> Message:
        if not self._read:
            message = await self._receive()
            self._read = not message.get("more_body", False)
            return message
        leaving, stopping = asyncio.ensure_future(self._receive()), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({leaving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return leaving.result() if leaving.done() else {"type": "http.disconnect"}
        finally:
            leaving.cancel()
            stopping.cancel()

    async def send(self, message: Message) -> None:
        await self._send(message)
        if message["type"] == "http.response.start":
            self.answering = True
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self.answering = False
