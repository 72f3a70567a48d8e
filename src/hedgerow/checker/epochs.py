"""Guarantee (f): what comes from an older epoch of a run is refused, and the agent of an older epoch is spoken to no more."""

from collections.abc import Iterator
from dataclasses import dataclass

from hedgerow.checker.report import Guarantee
from hedgerow.checker.sorted_out import Notes, RunHistory


@dataclass(frozen=True, slots=True)
class _Effect:
    """Something that an epoch had done by `at`. It began at `began`, which is what counts against it."""

    epoch: int
    began: float
    at: float
    lines: tuple[int, ...]
    what: str


def check_epochs(run: RunHistory, notes: Notes) -> None:
    """Nothing may be accepted from an older epoch, or said to its agent, once a newer one has had an effect."""
    effects = sorted(_effects(run), key=lambda effect: effect.began)
    notes.count(Guarantee.ONE_EPOCH, len(effects))
    known = sorted(effects, key=lambda effect: effect.at)
    newest: _Effect | None = None
    index = 0
    for effect in effects:
        while index < len(known) and known[index].at < effect.began:
            if newest is None or known[index].epoch > newest.epoch:
                newest = known[index]
            index += 1
        if newest is not None and effect.epoch < newest.epoch:
            where = f"epoch {effect.epoch} was {effect.what} after epoch {newest.epoch}"
            notes.refute(Guarantee.ONE_EPOCH, f"an older epoch was {effect.what}", run, where, *newest.lines, *effect.lines)


def _effects(run: RunHistory) -> Iterator[_Effect]:
    for call in run.calls:
        if call.sent.epoch is not None and call.accepted:
            yield _Effect(call.sent.epoch, call.sent.at, call.answered_at, tuple(call.lines), "accepted")
    for line, heard in run.hearings:
        if heard.epoch is not None:
            yield _Effect(heard.epoch, heard.at, heard.at, (line,), "spoken to")
