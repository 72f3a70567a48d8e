"""Text of agents and repositories made safe for a terminal, and cut to what a reader needs."""

import re
from typing import Any

# Escape sequences of ECMA-48: CSI, then the string kinds (OSC, DCS, SOS, PM, APC) with their terminator, then the short ones.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# What is left of C0 and C1 except tab and line feed, the marks that reorder text (Trojan Source), lone surrogates.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def safe(text: Any) -> str:
    """`text` without anything that a terminal would obey: escape sequences are dropped, other control characters shown as `�`."""
    plain = _ESCAPES.sub("", str(text).replace("\r\n", "\n"))
    return _CONTROLS.sub("�", plain).expandtabs(4)


def one_line(text: Any, limit: int = 200) -> str:
    """`text` on a single line of at most `limit` characters."""
    return cut(" ".join(safe(text).split()), limit)


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of `text`, with a `…` where something is missing."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def cut_lines(text: str, limit: int) -> str:
    """At most `limit` lines of `text`; the last one says how many more there are."""
    lines = text.splitlines()
    if len(lines) <= limit:
        return text
    return "\n".join([*lines[: limit - 1], f"… {len(lines) - limit + 1} more lines"])


def ordinal(number: int) -> str:
    """A place in a row: `1st`, `2nd`, `3rd`, `11th`."""
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def duration(seconds: float) -> str:
    """How long something took, in the words of a stopwatch: `0.3 s`, `42 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"
