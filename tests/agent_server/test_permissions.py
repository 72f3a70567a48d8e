"""Who is asked, and what is answered where nobody is."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from hedgerow.agent_server.permissions import CANCELLED, Permissions, approval, needs_person
from hedgerow.domain.runs import RunMode

ALWAYS = {"optionId": "yes!", "kind": "allow_always"}
ONCE = {"optionId": "yes", "kind": "allow_once"}
NO = {"optionId": "no", "kind": "reject_once"}


def test_options_are_chosen_by_kind_once_before_always() -> None:
    assert approval({"options": [NO, ALWAYS, ONCE]})["outcome"]["optionId"] == "yes"
    assert approval({"options": [NO, ALWAYS]})["outcome"]["optionId"] == "yes!"
    assert approval({"options": [NO]}) == CANCELLED
    assert approval({"options": "broken"}) == CANCELLED


@pytest.mark.parametrize(
    ("mode", "session_mode", "tool_call", "asked"),
    [
        (RunMode.BACKGROUND, "default", {}, False),
        (RunMode.BACKGROUND, "plan", {"kind": "switch_mode"}, False),
        (RunMode.INTERACTIVE, "default", {}, True),
        (RunMode.INTERACTIVE, None, {}, True),
        (RunMode.INTERACTIVE, "bypassPermissions", {}, False),
        (RunMode.INTERACTIVE, "full-access", {}, False),
        (RunMode.INTERACTIVE, "bypassPermissions", {"kind": "switch_mode"}, True),
        (RunMode.INTERACTIVE, "bypassPermissions", {"_meta": {"codeToolKind": "question"}}, True),
    ],
)
def test_who_is_asked(mode: RunMode, session_mode: str | None, tool_call: dict[str, Any], asked: bool) -> None:
    assert needs_person({"toolCall": tool_call}, mode, session_mode) is asked


@pytest.mark.parametrize(
    ("options", "expected"), [([ONCE, NO], {"outcome": {"outcome": "selected", "optionId": "no"}}), ([ONCE], CANCELLED)]
)
async def test_a_close_refuses_what_nobody_answered(options: list[dict[str, str]], expected: dict[str, Any]) -> None:
    asked = asyncio.Event()

    def ask(request_id: str, params: Mapping[str, Any]) -> None:
        asked.set()

    permissions = Permissions(RunMode.INTERACTIVE, ask)
    deciding = asyncio.create_task(permissions.decide({"options": options}, "default"))
    await asked.wait()
    permissions.reject_all()
    assert await deciding == expected
