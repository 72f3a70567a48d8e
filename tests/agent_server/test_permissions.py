"""Who is asked, and what is answered where nobody is."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from hedgerow.agent_server.permissions import CANCELLED, Permissions, UnknownOptionError, UnknownRequestError, approval, policy_for, refusal
from hedgerow.domain.permission_requests import PermissionPolicy
from hedgerow.domain.runs import RunMode

ALWAYS = {"optionId": "yes!", "kind": "allow_always"}
ONCE = {"optionId": "yes", "kind": "allow_once"}
NO = {"optionId": "no", "kind": "reject_once"}
NEVER = {"optionId": "no!", "kind": "reject_always"}


class Journal:
    """What people are told of requests."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.requests: list[str] = []
        self.results: list[tuple[str, Any, str | None]] = []

    def asked(self, request_id: str, params: Mapping[str, Any]) -> None:
        self.requests.append(request_id)
        self.news.set()

    def resolved(self, request_id: str, result: Mapping[str, Any], reason: str | None) -> None:
        self.results.append((request_id, result["outcome"].get("optionId"), reason))


async def waiting(options: list[dict[str, str]]) -> tuple[Permissions, Journal, "asyncio.Task[dict[str, Any]]"]:
    """A request that waits for a person."""
    journal = Journal()
    permissions = Permissions(RunMode.INTERACTIVE, journal)
    deciding = asyncio.create_task(permissions.decide({"options": options}, "default"))
    await journal.news.wait()
    return permissions, journal, deciding


def test_options_are_chosen_by_kind_once_before_always() -> None:
    assert approval({"options": [NO, ALWAYS, ONCE]})["outcome"]["optionId"] == "yes"
    assert approval({"options": [NO, ALWAYS]})["outcome"]["optionId"] == "yes!"
    assert approval({"options": [NO]}) == CANCELLED
    assert approval({"options": "broken"}) == CANCELLED
    assert refusal({"options": [ONCE, NEVER, NO]})["outcome"]["optionId"] == "no"
    assert refusal({"options": [ONCE, NEVER]})["outcome"]["optionId"] == "no!"
    assert refusal({"options": [ONCE]}) == CANCELLED


ALLOW, REJECT, ASK = PermissionPolicy.ALLOW, PermissionPolicy.REJECT, PermissionPolicy.ASK
PLAN: dict[str, Any] = {"kind": "switch_mode"}
QUESTION: dict[str, Any] = {"_meta": {"codeToolKind": "question"}}


@pytest.mark.parametrize(
    ("session_mode", "tool_call", "asked"),
    [
        ("default", {}, True),
        (None, {}, True),
        ("bypassPermissions", {}, False),
        ("full-access", {}, False),
        ("bypassPermissions", PLAN, True),
        ("bypassPermissions", QUESTION, True),
    ],
)
def test_who_is_asked_where_a_person_watches(session_mode: str | None, tool_call: dict[str, Any], asked: bool) -> None:
    assert policy_for({"toolCall": tool_call}, RunMode.INTERACTIVE, session_mode, REJECT) is (ASK if asked else ALLOW)
    assert policy_for({"toolCall": tool_call}, RunMode.BACKGROUND, session_mode, ASK) is (ASK if asked else ALLOW)


@pytest.mark.parametrize(
    ("session_mode", "operators", "expected"),
    [
        ("default", None, ALLOW),
        ("auto", None, ALLOW),
        ("bypassPermissions", None, ALLOW),
        (None, None, ALLOW),
        ("read-only", None, ALLOW),
        ("read-only", REJECT, REJECT),
        ("bypassPermissions", REJECT, REJECT),
    ],
)
@pytest.mark.parametrize("tool_call", [{}, PLAN, QUESTION])
def test_nobody_is_waited_for_in_the_background_unless_the_operator_says_so(
    session_mode: str | None, operators: PermissionPolicy | None, expected: PermissionPolicy, tool_call: dict[str, Any]
) -> None:
    assert policy_for({"toolCall": tool_call}, RunMode.BACKGROUND, session_mode, operators) is expected


async def test_a_policy_answers_at_once_and_asks_nobody() -> None:
    journal = Journal()
    permissions = Permissions(RunMode.BACKGROUND, journal, policy=REJECT)
    assert await permissions.decide({"options": [ONCE, NO]}, "default") == refusal({"options": [NO]})
    assert (journal.requests, journal.results) == ([], [])


async def test_an_answer_is_taken_once_and_told_before_the_agent_hears_it() -> None:
    permissions, journal, deciding = await waiting([ONCE, NO])
    request = journal.requests[0]
    with pytest.raises(UnknownOptionError):
        permissions.answer(request, "perhaps", {})
    permissions.answer(request, "yes", {"customInput": "go"})
    assert (journal.results, deciding.done()) == ([(request, "yes", None)], False)
    permissions.answer(request, "yes", {"customInput": "go"}, again=True)
    for option, again in (("yes", False), ("no", True)):
        with pytest.raises(UnknownRequestError):
            permissions.answer(request, option, {"customInput": "go"}, again=again)
    assert await deciding == {"outcome": {"outcome": "selected", "optionId": "yes"}, "_meta": {"customInput": "go"}}
    permissions.answer(request, "yes", {"customInput": "go"}, again=True)
    assert journal.results == [(request, "yes", None)]


async def test_a_request_without_an_option_that_says_no_can_be_cancelled() -> None:
    permissions, journal, deciding = await waiting([ONCE])
    permissions.answer(journal.requests[0], None, {})
    assert await deciding == CANCELLED
    assert journal.results == [(journal.requests[0], None, None)]


async def test_a_cancelled_turn_leaves_no_request_that_waits() -> None:
    permissions, journal, deciding = await waiting([ONCE])
    permissions.cancel_all()
    permissions.cancel_all()
    assert await deciding == CANCELLED
    assert journal.results == [(journal.requests[0], None, "turn_cancelled")]
    with pytest.raises(UnknownRequestError):
        permissions.answer(journal.requests[0], "yes", {}, again=True)


async def test_a_request_whose_agent_is_gone_is_told_as_over() -> None:
    _, journal, deciding = await waiting([ONCE])
    deciding.cancel()
    await asyncio.wait({deciding})
    assert journal.results == [(journal.requests[0], None, "session_ended")]


@pytest.mark.parametrize(
    ("options", "expected"), [([ONCE, NO], {"outcome": {"outcome": "selected", "optionId": "no"}}), ([ONCE], CANCELLED)]
)
async def test_a_close_refuses_what_nobody_answered(options: list[dict[str, str]], expected: dict[str, Any]) -> None:
    permissions, journal, deciding = await waiting(options)
    permissions.reject_all()
    assert await deciding == expected
    assert journal.results == [(journal.requests[0], expected["outcome"].get("optionId"), "session_ended")]
