"""Ids of tasks, runs and messages: UUID version 7 (RFC 9562), so that they sort by the time they were made."""

import secrets
import time
from uuid import UUID


def uuid7(milliseconds: int | None = None) -> UUID:
    """A new UUIDv7: 48 bits of Unix time in milliseconds (now, unless given), then 74 random bits."""
    moment = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    value = (moment & (2**48 - 1)) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0b11 << 62) | 0b10 << 62
    return UUID(int=value)
