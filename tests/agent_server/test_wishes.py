"""Wishes find their place, wherever an agent offers it."""

from typing import Any

import pytest

from hedgerow.agent_server.wishes import Call, Offers, effort_call, mode_call, model_call

CLAUDE: dict[str, Any] = {
    "modes": {"currentModeId": "default", "availableModes": [{"id": "default", "name": "Always Ask"}, {"id": "plan", "name": "Plan"}]},
    "models": {
        "currentModelId": "default",
        "availableModels": [{"modelId": "default", "name": "D"}, {"modelId": "opus", "name": "Opus 5"}],
    },
}
OPTIONS: dict[str, Any] = {
    "configOptions": [
        {"id": "mode", "category": "mode", "currentValue": "read-only", "options": [{"value": "read-only"}, {"value": "full-access"}]},
        {"id": "model", "category": "model", "currentValue": "a", "options": [{"group": "g", "options": [{"value": "b", "name": "B"}]}]},
        {"id": "reasoning_effort", "currentValue": "low", "options": [{"value": "low"}, {"value": "high", "name": "High"}]},
        {"id": 5, "options": "broken"},
        "broken",
    ]
}


def offers(result: dict[str, Any]) -> Offers:
    learned = Offers()
    learned.learn(result)
    return learned


def test_modes_and_models_of_the_session() -> None:
    assert mode_call(offers(CLAUDE), "plan") == Call("session/set_mode", {"modeId": "plan"})
    assert mode_call(offers(CLAUDE), "default") is None
    assert model_call(offers(CLAUDE), "opus 5") == Call("session/set_model", {"modelId": "opus"})


def test_config_options_by_category_or_id_in_groups_or_not() -> None:
    assert mode_call(offers(OPTIONS), "full-access") == Call("session/set_config_option", {"configId": "mode", "value": "full-access"})
    assert model_call(offers(OPTIONS), "B") == Call("session/set_config_option", {"configId": "model", "value": "b"})
    assert effort_call(offers(OPTIONS), "high") == Call("session/set_config_option", {"configId": "reasoning_effort", "value": "high"})
    assert effort_call(offers(OPTIONS), "low") is None


def test_an_unknown_wish_names_what_is_offered() -> None:
    with pytest.raises(LookupError, match="default, plan"):
        mode_call(offers(CLAUDE), "yolo")
    with pytest.raises(LookupError, match="nothing of the kind"):
        effort_call(offers(CLAUDE), "high")


def test_the_mode_follows_what_the_agent_says() -> None:
    known = offers(CLAUDE)
    known.learn_update({"sessionUpdate": "current_mode_update", "currentModeId": "plan"})
    assert known.current_mode == "plan"
    known.learn_update({"sessionUpdate": "config_option_update", "configOptions": OPTIONS["configOptions"]})
    assert known.current_mode == "read-only"
