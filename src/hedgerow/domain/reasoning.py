"""Which agents exist by name, what they may be asked for, and who makes their models (contract 3.6)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

REASONING_EFFORTS = ("low", "medium", "high", "xhigh", "max")

PROVIDERS: Mapping[str, str] = {"claude": "anthropic", "codex": "openai"}

PERMISSION_MODES: Mapping[str, tuple[str, ...]] = {
    "claude": ("default", "acceptEdits", "plan", "bypassPermissions", "auto"),
    "codex": ("auto", "read-only", "full-access"),
    "scripted": ("default", "bypassPermissions"),
}

DEFAULT_PERMISSION_MODES: Mapping[str, str] = {"claude": "bypassPermissions", "codex": "auto", "scripted": "bypassPermissions"}

_LOW_TO_HIGH = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class ReasoningEfforts:
    """The efforts that a model of an agent understands. An agent's entry "*" holds for its other models."""

    table: Mapping[str, Mapping[str, tuple[str, ...]]] = field(
        default_factory=lambda: {
            "claude": {
                "claude-opus-4-5": _LOW_TO_HIGH,
                "claude-opus-4-6": REASONING_EFFORTS,
                "claude-opus-4-7": REASONING_EFFORTS,
                "claude-sonnet-4-6": _LOW_TO_HIGH,
            },
            "codex": {"gpt-5.5": (*_LOW_TO_HIGH, "xhigh"), "*": _LOW_TO_HIGH},
        }
    )

    def allowed(self, agent: str, model: str) -> tuple[str, ...]:
        """The efforts that may be asked for; empty where none may."""
        models = self.table.get(agent, {})
        return models.get(model, models.get("*", ()))
