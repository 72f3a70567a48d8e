"""The payloads of NOTIFY: which run, and what happened to it. PostgreSQL refuses payloads of 8000 bytes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from hedgerow.domain.journal import Preview

_BYTES = 7900
_CHUNK = "p"
_GROWN = "e"
_CHANGED = "c"
_HEX = 32


@dataclass(frozen=True, slots=True)
class Signal:
    """What another process said of a run. Neither head nor preview: its row or inbox has changed."""

    run_id: UUID
    head: int | None = None
    preview: Preview | None = None


def grown(run_id: UUID, head: int) -> str:
    """The journal of a run has grown."""
    return f"{_GROWN}{run_id.hex}{head}"


def changed(run_id: UUID) -> str:
    """The row or the inbox of a run has changed."""
    return f"{_CHANGED}{run_id.hex}"


def hello(sender: str, counter: Iterator[int]) -> str:
    """Somebody begins to listen."""
    return f"{sender} {next(counter)}"


def is_from(payload: str, sender: str) -> bool:
    """Whether a payload was sent by that sender."""
    return payload.startswith(sender + " ")


def packed(sender: str, counter: Iterator[int], items: Iterable[str]) -> list[str]:
    """As few payloads as can hold the items."""
    payloads: list[str] = []
    for item in items:
        if not payloads or len(payloads[-1]) + 1 + len(item) > _BYTES:
            payloads.append(f"{sender} {next(counter)}")
        payloads[-1] += " " + item
    return payloads


def chunk(sender: str, number: int, run_id: UUID, preview: Preview) -> str | None:
    """The payload of a message chunk; None where it is too large."""
    payload = f"{sender} {number} {_CHUNK}{run_id.hex}{preview.follows} {preview.text}"
    return payload if len(payload.encode()) <= _BYTES else None


def read(payload: str, listener: str) -> list[Signal]:
    """What a payload says; nothing where the listener sent it itself, or it is not of this shape."""
    sender, _, rest = payload.partition(" ")
    _number, _, body = rest.partition(" ")
    if sender == listener or not body:
        return []
    try:
        if body.startswith(_CHUNK):
            return [_read_chunk(body)]
        return [_read_item(item) for item in body.split(" ")]
    except ValueError:
        return []


def _read_chunk(body: str) -> Signal:
    address, _, text = body.partition(" ")
    return Signal(UUID(hex=address[1 : _HEX + 1]), preview=Preview(int(address[_HEX + 1 :]), text))


def _read_item(item: str) -> Signal:
    run_id = UUID(hex=item[1 : _HEX + 1])
    return Signal(run_id, head=int(item[_HEX + 1 :]) if item.startswith(_GROWN) else None)
