from typing import Any

import pytest

from hedgerow.domain.journal import event_type, is_message_chunk


def said(method: Any, params: Any = None) -> dict[str, Any]:
    return {"notification": {"method": method, "params": params}}


def updated(kind: Any) -> dict[str, Any]:
    return said("session/update", {"update": {"sessionUpdate": kind}})


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        (said("_posthog/console"), "_posthog/console"),
        (updated("tool_call"), "tool_call"),
        (updated(None), "session/update"),
        (said("session/update"), "session/update"),
        (said("session/update", {"update": []}), "session/update"),
        (said(5), ""),
        ({"notification": "session/update"}, ""),
        ({"type": "info", "method": "x"}, ""),
        (said("x" * 300), "x" * 200),
    ],
)
def test_an_entry_is_named_by_its_method_or_the_kind_of_its_update(entry: dict[str, Any], name: str) -> None:
    assert event_type(entry) == name


@pytest.mark.parametrize(
    ("entry", "dropped"),
    [
        (updated("agent_message_chunk"), True),
        (updated("agent_thought_chunk"), False),
        (said("agent_message_chunk"), False),
        (said("session/prompt", {"update": {"sessionUpdate": "agent_message_chunk"}}), False),
    ],
)
def test_only_a_session_update_is_a_message_chunk(entry: dict[str, Any], dropped: bool) -> None:
    assert is_message_chunk(entry) is dropped
