"""What an agent may say that makes going on pointless, such as trying again with a key that was refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class GiveUp:
    """A message that contains `pattern` ends the turn, and `sentence` is what people read."""

    pattern: Mapping[str, Any]
    sentence: str


def hopeless(rules: Sequence[GiveUp], message: Mapping[str, Any]) -> str | None:
    """The sentence of the first rule that `message` fulfils."""
    return next((rule.sentence for rule in rules if contains(message, rule.pattern)), None)


def contains(value: Any, pattern: Any) -> bool:
    """Whether `value` has everything that `pattern` has: objects may have more members, everything else is equal."""
    if not isinstance(pattern, Mapping):
        return bool(value == pattern)
    return isinstance(value, Mapping) and all(name in value and contains(value[name], part) for name, part in pattern.items())
