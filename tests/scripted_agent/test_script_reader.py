"""Scripts are read wholly, or refused with a sentence that names the step."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.scripted_agent.script import Ask, Burst, Exit, Fail, Plan, Repeat, Run, Say, ScriptError, Sleep, Think, Tool, Write
from hedgerow.scripted_agent.script_reader import read_script

EVERYTHING: list[dict[str, Any]] = [
    {"say": "Hello"},
    {"think": {"text": "Hm"}},
    {"tool": {"title": "Read", "kind": "read", "input": {"path": "a"}, "output": "text", "status": "failed"}},
    {"ask": {"title": "May I", "options": [{"optionId": "y", "kind": "allow_once"}], "go_on": True}},
    {"write": {"path": "a.txt", "content": "x"}},
    {"run": "ls"},
    {"fail": "No"},
    {"sleep": 0.5},
    {"exit": 3},
    {"plan": ["One", {"content": "Two", "status": "completed", "priority": "high"}]},
    {"repeat": {"times": 2, "steps": [{"say": "again"}]}},
    {"burst": {"count": 5, "text": "b"}},
]


def test_every_kind_of_step() -> None:
    steps = read_script(json.dumps({"steps": EVERYTHING}))
    assert steps is not None
    assert [type(step) for step in steps] == [Say, Think, Tool, Ask, Write, Run, Fail, Sleep, Exit, Plan, Repeat, Burst]
    assert steps[10] == Repeat(2, (Say("again"),))
    assert steps[2] == Tool(title="Read", kind="read", input={"path": "a"}, output="text", failed=True)


@pytest.mark.parametrize("prompt", ['[{"say":"x"}]', ' {"steps":[{"say":"x"}]}\n', 'Play:\n```json\n[{"say":"x"}]\n```\nThanks'])
def test_where_a_script_may_stand(prompt: str) -> None:
    assert read_script(prompt) == (Say("x"),)


@pytest.mark.parametrize("prompt", ["", "Fix it", "[WIP] fix it", "{this} is not", 'See ```json\n{"name": "x"}\n```', "[1] a footnote"])
def test_what_is_plain_text(prompt: str) -> None:
    assert read_script(prompt) is None


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ('[{"say": "x"},]', "The script is not valid JSON: "),
        ('{"step": []}', 'The script must be a list of steps, or an object with a list "steps".'),
        ('[{"say": "a", "run": "b"}]', "Step 0 must be an object with exactly one key, "),
        ('[{"say": "a"}, {"sing": "b"}]', "Step 1 has the unknown key 'sing'; keys are say, think, "),
        ('[{"say": 1}]', "Step 0 (say): text must be a string."),
        ('[{"write": {"content": "x"}}]', "Step 0 (write): path must be a string."),
        ('[{"sleep": -1}]', "Step 0 (sleep): seconds must be a number from 0 to 86400."),
        ('[{"exit": 1.5}]', "Step 0 (exit): code must be a whole number."),
        ('[{"run": {"command": "ls", "timeout": 1}}]', "Step 0 (run): timeout is not known here; known are command, timeout_seconds."),
        ('[{"tool": {"title": "x", "kind": "magic"}}]', "Step 0 (tool): kind must be one of read, edit, "),
        ('[{"ask": {"options": [{"optionId": "a", "kind": "maybe"}]}}]', "Step 0 (ask): each of options needs an optionId and a kind"),
        ('[{"repeat": {"times": 2, "steps": [{"say": "a"}, {"sey": 1}]}}]', "Step 0.1 has the unknown key 'sey'"),
        ('[{"repeat": {"times": 2}}]', "Step 0 (repeat): steps must be a list of steps."),
        ('[{"burst": 100001}]', "Step 0 (burst): count must be a number from 0 to 100000."),
        ('[{"repeat": {"times": 100000, "steps": [{"burst": 10}]}}]', "Step 0.0 makes the script too long: "),
    ],
)
def test_a_broken_script_is_refused_with_its_step(script: str, sentence: str) -> None:
    with pytest.raises(ScriptError) as refused:
        read_script(script)
    assert str(refused.value).startswith(sentence)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "steps", "times", "title", "count", "options", "entries", "path"]), children, max_size=3)
    ),
    max_leaves=8,
)
STEPS = st.dictionaries(st.sampled_from([next(iter(step)) for step in EVERYTHING]), VALUES, min_size=1, max_size=2)


@given(st.lists(STEPS | VALUES, max_size=4))
def test_any_json_is_a_script_or_a_sentence(steps: list[Any]) -> None:
    sentence = _refusal(json.dumps({"steps": steps}))
    assert sentence is None or (sentence.startswith("Step ") and sentence.endswith("."))


@given(st.text())
def test_any_text_is_played_or_refused(prompt: str) -> None:
    sentence = _refusal(prompt)
    assert sentence is None or sentence.endswith(".")


def _refusal(prompt: str) -> str | None:
    try:
        read_script(prompt)
    except ScriptError as error:
        return str(error)
    return None
