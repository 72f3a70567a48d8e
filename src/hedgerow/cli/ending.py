"""How a run ended, in plain words: why, what came of it, and where to find it."""

from typing import Any

from rich.text import Text

from hedgerow.cli.painting import Marks
from hedgerow.cli.safe_text import duration, one_line, safe
from hedgerow.cli.whereabouts import commands_for, push_failure
from hedgerow.client import Repository, Run
from hedgerow.domain.end_reasons import EXPLANATIONS, EndCategory
from hedgerow.domain.runs import RunStatus

EXIT_CODES = {RunStatus.COMPLETED: 0, RunStatus.FAILED: 1, RunStatus.CANCELLED: 3}
DETACHED = 130

_WORDS = {RunStatus.COMPLETED: ("Completed", "green"), RunStatus.FAILED: ("Failed", "red"), RunStatus.CANCELLED: ("Cancelled", "yellow")}


def exit_code(run: Run) -> int:
    """0 for a completed run, 1 for a failed one, 3 for a cancelled one."""
    return EXIT_CODES.get(run.status, 1)


def describe_ending(run: Run, repository: Repository | None, marks: Marks, told: str = "") -> list[Text]:
    """The last lines of a run that has ended. `repository` is what its task works on, where that is known; `told` was shown already."""
    word, style = _WORDS.get(run.status, (run.status.value, "yellow"))
    mark = marks.done if run.status is RunStatus.COMPLETED else marks.failed
    headline = Text.assemble((f"{mark} {word}", f"bold {style}"))
    if run.completed_at is not None:
        headline.append(f" after {duration((run.completed_at - run.created_at).total_seconds())}", style)
    return [headline, *_why(run, told), *_result(run, repository)]


def _why(run: Run, told: str) -> list[Text]:
    message = safe(run.error_message or "").strip()
    style = "red" if run.status is RunStatus.FAILED else ""
    lines = [] if message == told else [Text(f"  {line}", style) for line in message.splitlines()]
    reason = run.end_reason
    explanation = None if reason is None else EXPLANATIONS[reason]
    if explanation is not None and explanation.category is not EndCategory.DONE:
        lines += [Text(f"  {sentence}", "dim") for sentence in (explanation.title, explanation.remedy) if sentence]
    return lines


def _result(run: Run, repository: Repository | None) -> list[Text]:
    output = run.output if isinstance(run.output, dict) else {}
    branch, commit = output.get("head_branch"), output.get("commit")
    if not isinstance(branch, str) or not isinstance(commit, str):
        return [_fact("Changes", "none")] if run.status is RunStatus.COMPLETED and repository is not None else []
    lines = [_fact("Branch", one_line(branch), "bold"), _fact("Commit", one_line(commit)[:12])]
    stat = diff_stat(output.get("diff_stat"))
    if stat:
        lines.append(_fact("Changes", stat))
    failure = push_failure(output)
    if failure is not None:
        lines.append(Text(f"  {failure}", "yellow"))
    commands = commands_for(output, branch, repository, run.state.get("pr_base_branch")) if repository is not None else []
    return [*lines, *(_fact(word, command, "cyan") for word, command in commands)]


def diff_stat(value: Any) -> str:
    """The size of a change in a few words; empty where it is not known."""
    if not isinstance(value, dict):
        return one_line(value) if isinstance(value, str) else ""
    files, added, removed = (value.get(name, 0) for name in ("files_changed", "insertions", "deletions"))
    return one_line(f"{files} file{'' if files == 1 else 's'}, +{added} -{removed}")


def _fact(name: str, value: str, style: str = "") -> Text:
    return Text.assemble((f"  {name:<8} ", "dim"), (value, style))
