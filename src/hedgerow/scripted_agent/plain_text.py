"""What the scripted agent does with a prompt that is no script: a small, real piece of work, and no pretence."""

import re
from pathlib import Path

from hedgerow.scripted_agent.script import Plan, Run, Say, Step, Write

_FOLDER = "hedgerow-notes"


def note_path(prompt: str, workspace: Path) -> str:
    """A free file name for a note on `prompt`, relative to the workspace."""
    words = re.findall(r"[a-z0-9]+", prompt.lower())
    name = "-".join(words[:6])[:60].strip("-") or "note"
    for number in range(1, 1000):
        path = f"{_FOLDER}/{name}.md" if number == 1 else f"{_FOLDER}/{name}-{number}.md"
        if not (workspace / path).exists():
            return path
    return f"{_FOLDER}/{name}-latest.md"


def plain_text_script(prompt: str, workspace: Path) -> tuple[Step, ...]:
    """Look at the repository and leave a note that holds the prompt."""
    path = note_path(prompt, workspace)
    return (
        Say(
            "I am the scripted agent: no model is behind me, so I cannot understand what you ask. "
            "I will look at the repository and put your words into a note."
        ),
        Plan(
            (
                {"content": "Look at the repository", "status": "in_progress", "priority": "medium"},
                {"content": f"Write {path}", "status": "pending", "priority": "medium"},
            )
        ),
        Run("git log -1"),
        Run("ls"),
        Write(path, f"# A note of the scripted agent\n\nIt was asked:\n\n{_quoted(prompt)}\n"),
        Plan(
            (
                {"content": "Look at the repository", "status": "completed", "priority": "medium"},
                {"content": f"Write {path}", "status": "completed", "priority": "medium"},
            )
        ),
        Say(f"Done: the note is in {path}."),
    )


def _quoted(prompt: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in prompt.strip().splitlines())
