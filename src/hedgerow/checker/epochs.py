"""Guarantee (f): what comes from an older epoch of a run is refused."""

from hedgerow.checker.report import Guarantee
from hedgerow.checker.sorted_out import Call, Notes, RunHistory


def check_epochs(run: RunHistory, notes: Notes) -> None:
    """No call may be accepted that was made with an older epoch than one which had been accepted before."""
    effects = [call for call in run.calls if call.sent.epoch is not None and call.accepted]
    notes.count(Guarantee.ONE_EPOCH, len(effects))
    answered = sorted(effects, key=lambda call: call.answered_at)
    newest: Call | None = None
    index = 0
    for call in effects:  # in the order in which they were sent
        while index < len(answered) and answered[index].answered_at < call.sent.at:
            if newest is None or _epoch(answered[index]) > _epoch(newest):
                newest = answered[index]
            index += 1
        if newest is not None and _epoch(call) < _epoch(newest):
            where = f"epoch {_epoch(call)} was accepted after epoch {_epoch(newest)}"
            notes.refute(Guarantee.ONE_EPOCH, "an older epoch was accepted", run, where, *newest.lines, *call.lines)


def _epoch(call: Call) -> int:
    assert call.sent.epoch is not None
    return call.sent.epoch
