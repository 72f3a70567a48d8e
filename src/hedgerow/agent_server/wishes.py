"""What a run wishes of its agent (mode, model, effort), matched with what the agent offers. Pure.

Agents offer the same thing in different places: session modes, session models, or config options of a category.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """An ACP call that fulfils a wish, without its sessionId."""

    method: str
    params: dict[str, Any]


@dataclass(slots=True)
class Offers:
    """What the agent said it offers, kept up to date by its own updates."""

    modes: dict[str, str] = field(default_factory=dict)  # id -> name
    current_mode: str | None = None
    models: dict[str, str] = field(default_factory=dict)
    current_model: str | None = None
    config_options: list[dict[str, Any]] = field(default_factory=list)

    def learn(self, result: Mapping[str, Any]) -> None:
        """Take in the result of session/new."""
        modes, models = result.get("modes"), result.get("models")
        if isinstance(modes, dict):
            self.modes = dict(_named(modes.get("availableModes"), "id"))
            self.current_mode = _text(modes.get("currentModeId"))
        if isinstance(models, dict):
            self.models = dict(_named(models.get("availableModels"), "modelId"))
            self.current_model = _text(models.get("currentModelId"))
        self.learn_options(result)

    def learn_options(self, source: Mapping[str, Any]) -> None:
        """Take in `configOptions`, where they are given."""
        options = source.get("configOptions")
        if isinstance(options, list):
            self.config_options = [option for option in options if isinstance(option, dict) and _text(option.get("id"))]
            self.current_mode = self._current("mode") or self.current_mode

    def learn_update(self, update: Mapping[str, Any]) -> None:
        """Take in a session update that may tell of another mode or other options."""
        if update.get("sessionUpdate") == "current_mode_update":
            self.current_mode = _text(update.get("currentModeId")) or self.current_mode
        elif update.get("sessionUpdate") == "config_option_update":
            self.learn_options(update)

    def _current(self, category: str) -> str | None:
        option = _option(self.config_options, category)
        return None if option is None else _text(option.get("currentValue"))


def mode_call(offers: Offers, wish: str) -> Call | None:
    """How to set the session mode; LookupError names what is offered where the wish is not. None: it is set already."""
    if wish == offers.current_mode:
        return None
    if wish in offers.modes:
        return Call("session/set_mode", {"modeId": wish})
    return _option_call(offers, "mode", ("mode",), wish, others=offers.modes)


def model_call(offers: Offers, wish: str) -> Call | None:
    """How to choose the model."""
    chosen = _choose(offers.models, wish)
    if chosen is not None:
        return None if chosen == offers.current_model else Call("session/set_model", {"modelId": chosen})
    return _option_call(offers, "model", ("model",), wish, others=offers.models)


def effort_call(offers: Offers, wish: str) -> Call | None:
    """How to set the reasoning effort."""
    return _option_call(offers, "thought_level", ("effort", "reasoning_effort", "thought_level", "thinking"), wish, others={})


def _option_call(offers: Offers, category: str, ids: tuple[str, ...], wish: str, *, others: Mapping[str, str]) -> Call | None:
    option = _option(offers.config_options, category, ids)
    values = {} if option is None else dict(_values(option))
    chosen = _choose(values, wish)
    if option is None or chosen is None:
        raise LookupError(", ".join([*others, *values]) or "nothing of the kind")
    if option.get("currentValue") == chosen:
        return None
    return Call("session/set_config_option", {"configId": option["id"], "value": chosen})


def _option(options: list[dict[str, Any]], category: str, ids: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """The first option of a category, else the first with one of the ids that agents without categories use."""
    by_category = [option for option in options if option.get("category") == category]
    by_id = [option for option in options if option["id"] in ids]
    return next(iter([*by_category, *by_id]), None)


def _values(option: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The values of a select option, in groups or not."""
    choices = option.get("options")
    for choice in choices if isinstance(choices, list) else []:
        if isinstance(choice, dict) and isinstance(choice.get("options"), list):
            yield from _named(choice["options"], "value")
        else:
            yield from _named([choice], "value")


def _choose(offered: Mapping[str, str], wish: str) -> str | None:
    """The offered id that a wish means: the id itself, else the one whose id or name is the same but for its case."""
    if wish in offered:
        return wish
    folded = wish.casefold()
    return next((key for key, name in offered.items() if folded in {key.casefold(), name.casefold()}), None)


def _named(items: object, key: str) -> Iterator[tuple[str, str]]:
    for item in items if isinstance(items, list) else []:
        if isinstance(item, dict) and isinstance(item.get(key), str):
            yield item[key], str(item.get("name", item[key]))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
