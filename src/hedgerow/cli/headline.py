"""The first lines over a run: what is wanted, where, and by whom it is done."""

from rich.text import Text

from hedgerow.cli.finding import short
from hedgerow.cli.local_repository import CHANGES
from hedgerow.cli.safe_text import one_line
from hedgerow.client import Run, Task


def headline(task: Task, run: Run) -> list[Text]:
    """Two lines: slug and title, then run, agent and repository."""
    agent = run.state.get("runtime_adapter")
    model = run.state.get("model")
    named = f"{agent} ({model})" if agent and model and model != "default" else agent
    base = run.state.get("pr_base_branch")
    start = None if not base else "with uncommitted changes" if base.startswith(CHANGES) else f"from {base}"
    parts = [f"run {short(run.id)}", named, task.repository, start]
    return [
        Text(""),
        Text.assemble((task.slug, "bold cyan"), "  ", (one_line(task.title or task.description, 120), "bold")),
        Text(" · ".join(one_line(part, 80) for part in parts if part), "dim"),
    ]
