from typing import Any

import pytest

from hedgerow.cli.tool_calls import ToolCall


def call(**update: Any) -> ToolCall:
    made = ToolCall("t")
    made.apply(update, None)
    return made


@pytest.mark.parametrize(
    ("update", "result"),
    [
        ({"kind": "execute", "status": "completed", "rawOutput": {"exit_code": 0}}, "exit 0"),
        ({"kind": "execute", "status": "failed", "rawOutput": {"exitCode": 2}}, "exit 2"),
        ({"kind": "execute", "status": "failed", "_meta": {"terminal_exit": {"exit_code": 137}}}, "exit 137"),
        (
            {
                "kind": "execute",
                "status": "failed",
                "content": [{"type": "content", "content": {"type": "text", "text": "Exit code 1\nboom"}}],
            },
            "exit 1",
        ),
        (
            {
                "kind": "edit",
                "status": "completed",
                "content": [{"type": "diff", "path": "a", "oldText": "1\n2\n", "newText": "1\n3\n4\n"}],
            },
            "+2 -1",
        ),
        ({"kind": "edit", "status": "completed", "content": [{"type": "diff", "path": "a", "oldText": None, "newText": "1\n"}]}, "+1 -0"),
        (
            {"kind": "read", "status": "failed", "content": [{"type": "content", "content": {"type": "text", "text": "No such\nfile"}}]},
            "No such file",
        ),
        ({"kind": "read", "status": "failed"}, "failed"),
        ({"kind": "read", "status": "completed"}, ""),
    ],
)
def test_the_result_is_told_in_a_few_words(update: dict[str, Any], result: str) -> None:
    assert call(**update).result == result


@pytest.mark.parametrize(
    ("update", "line"),
    [
        ({"kind": "execute", "title": "Bash", "rawInput": {"command": "ls -la"}}, "ls -la"),
        ({"kind": "execute", "title": "List files", "rawInput": {"command": "ls -la"}}, "List files: ls -la"),
        ({"kind": "execute", "title": "`ls`", "rawInput": {"command": ["bash", "-lc", "ls"]}}, "ls"),
        ({"kind": "read", "title": "Read src/a.py"}, "src/a.py"),
        ({"kind": "edit", "title": "src/a.py"}, "src/a.py"),
        ({}, "t"),
    ],
)
def test_a_call_is_named_without_saying_anything_twice(update: dict[str, Any], line: str) -> None:
    assert call(**update).line == line
