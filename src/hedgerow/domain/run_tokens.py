"""Run tokens: what the agent server of a run authenticates with. Signed, bound to one run and one epoch, kept nowhere."""

import hashlib
import hmac
from collections.abc import Sequence
from uuid import UUID

PREFIX = "hrt_"


def _signature(secret: bytes, run_id: UUID, epoch: int) -> str:
    return hmac.new(secret, f"hedgerow run token {run_id} {epoch}".encode(), hashlib.sha256).hexdigest()


def mint(secret: bytes, run_id: UUID, epoch: int) -> str:
    """The token of a run at an epoch."""
    return f"{PREFIX}{run_id.hex}.{epoch}.{_signature(secret, run_id, epoch)}"


def read(secrets: Sequence[bytes], token: str) -> tuple[UUID, int] | None:
    """The run and epoch that a token was signed for by any of `secrets`; None where it is not a run token of ours."""
    if not token.startswith(PREFIX):
        return None
    try:
        run_hex, epoch_text, signature = token.removeprefix(PREFIX).split(".")
        run_id, epoch = UUID(hex=run_hex), int(epoch_text)
    except ValueError:
        return None
    if any(hmac.compare_digest(_signature(secret, run_id, epoch).encode(), signature.encode()) for secret in secrets):
        return run_id, epoch
    return None
