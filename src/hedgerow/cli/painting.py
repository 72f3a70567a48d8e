"""How the pieces of a run look: each as a few lines of styled text, the same on a terminal and in a file."""

import re
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from hedgerow.cli.items import Answered, Item, Plan, Prompted, Question, Remark, Said, StepOver, Thought, ToolOver
from hedgerow.cli.program import command_line
from hedgerow.cli.safe_text import cut_lines, duration, one_line
from hedgerow.cli.tool_calls import ToolCall

INDENT = "  "
_LABEL_WIDTH = 28
_KIND_WIDTH = 7
_MARKDOWN = re.compile(
    r"(?P<code>`[^`\n]+`)|(?P<bold>\*\*[^*\n]+\*\*)|(?P<heading>^#{1,6} .*$)|(?P<fence>^```.*$)|(?P<bullet>^ *(?:[-*+]|\d+\.) )",
    re.MULTILINE,
)
_MARKDOWN_STYLES = {"code": "cyan", "bold": "bold", "heading": "bold", "fence": "dim", "bullet": "dim"}
_PROMPT_LINES, _THOUGHT_LINES, _REMARK_LINES = 8, 12, 20
_FENCE = re.compile(r"^```(?P<language>[^\n`]*)\n(?P<body>.*?)\n```[ \t]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Marks:
    """The signs in front of lines, in what the output can carry."""

    done: str = "✓"
    failed: str = "✗"
    open: str = "○"
    active: str = "▸"
    broken_off: str = "◦"
    prompt: str = "»"
    question: str = "?"
    spinner: str = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


PLAIN_MARKS = Marks(done="+", failed="x", open="-", active=">", broken_off="-", prompt=">", spinner="|/-\\")


def marks_for(console: Console) -> Marks:
    """The signs that this output's encoding can carry."""
    return Marks() if console.encoding.lower().replace("-", "").startswith("utf") else PLAIN_MARKS


def paint(item: Item, marks: Marks, reference: str | None, width: int | None = None) -> list[Text]:
    """The lines of a piece, without indentation, as wide as need be unless `width` is given.

    `reference` is how a command line names the run; None where nobody needs to be told commands.
    """
    match item:
        case StepOver():
            return [_step(item, marks)]
        case Prompted(text):
            return _prefixed(cut_lines(_without_fences(text), _PROMPT_LINES), f"{marks.prompt} ", "bold")
        case Said(text):
            return message(text)
        case Thought(text):
            return [Text(line, "dim italic") for line in cut_lines(text, _THOUGHT_LINES).splitlines()]
        case ToolOver(call):
            return [tool_line(call, marks, width=width)]
        case Question():
            return _question(item, marks, reference)
        case Answered(answer):
            return [Text.assemble((f"{marks.done} ", "green"), "Answered: ", (answer, "bold"))]
        case Plan():
            return plan_lines(item, marks)
        case Remark():
            return _remark(item, marks)


def message(text: str) -> list[Text]:
    """What the agent says: its own words and line breaks, with the plainest Markdown made visible."""
    styled = Text(text)
    for match in _MARKDOWN.finditer(text):
        assert match.lastgroup is not None
        styled.stylize(_MARKDOWN_STYLES[match.lastgroup], match.start(), match.end())
    return list(styled.split("\n"))


def step_line(mark: str, mark_style: str, label: str, seconds: float | None, detail: str) -> Text:
    """One step: mark, label, how long, and what is worth knowing."""
    took = "" if seconds is None else duration(seconds)
    line = Text.assemble((f"{mark} ", mark_style), f"{label:<{_LABEL_WIDTH}}", (f"{took:>9}", "dim"))
    if detail:
        line.append(f"   {detail}", "dim")
    line.rstrip()
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def tool_line(call: ToolCall, marks: Marks, *, width: int | None = None, spinner: str | None = None) -> Text:
    """One tool call: mark, kind, title, short result. `spinner` stands for the mark while it runs; the title gives way to `width`."""
    mark, style = {"completed": (marks.done, "green"), "failed": (marks.failed, "red")}.get(
        call.status, (spinner or marks.broken_off, "cyan")
    )
    head = Text.assemble((f"{mark} ", style), (f"{call.name:<{_KIND_WIDTH}} ", "cyan"))
    tail = _tool_result(call, running=spinner is not None)
    title = Text(call.line)
    if width is not None:
        tail.truncate(max(width // 2, 10), overflow="ellipsis")
        title.truncate(max(width - head.cell_len - tail.cell_len, 10), overflow="ellipsis")
    return head + title + tail


def _tool_result(call: ToolCall, *, running: bool) -> Text:
    tail = Text()
    if call.result:
        tail.append(f"   {call.result}", "red" if call.status == "failed" else "dim")
    elif not call.over and not running:
        tail.append("   not finished", "yellow")
    if call.seconds is not None and call.seconds >= 1:
        tail.append(f"   {duration(call.seconds)}", "dim")
    return tail


def plan_lines(plan: Plan, marks: Marks) -> list[Text]:
    """The agent's plan, a point on a line."""
    looks = {"completed": (marks.done, "green", "dim"), "in_progress": (marks.active, "cyan", "bold")}
    lines = []
    for entry in plan.entries:
        mark, style, text_style = looks.get(entry.status, (marks.open, "dim", ""))
        lines.append(Text.assemble((f"{mark} ", style), (entry.content, text_style)))
    return lines


def _step(item: StepOver, marks: Marks) -> Text:
    mark, style = (marks.failed, "red") if item.failed else (marks.done, "green")
    line = step_line(mark, style, item.label, item.seconds, "" if item.failed else item.detail)
    if item.failed and item.detail:
        line.append(f"   {item.detail}", "red")
        line.no_wrap = False
    return line


def _prefixed(text: str, prefix: str, style: str) -> list[Text]:
    lines = text.splitlines() or [""]
    return [Text(f"{prefix if number == 0 else ' ' * len(prefix)}{line}", style) for number, line in enumerate(lines)]


def _without_fences(text: str) -> str:
    """A prompt for reading again: its blocks of code are named, not repeated."""

    def name(fence: re.Match[str]) -> str:
        lines = fence["body"].count("\n") + 1
        return f"``` {fence['language'] or 'code'}, {lines} line{'' if lines == 1 else 's'} ```"

    return _FENCE.sub(name, text)


def _question(question: Question, marks: Marks, reference: str | None) -> list[Text]:
    lines = [Text.assemble((f"{marks.question} The agent asks for permission: ", "bold yellow"), (question.title, "bold"))]
    width = max((len(option.id) for option in question.options), default=0)
    for number, option in enumerate(question.options, 1):
        lines.append(
            Text.assemble(
                (f"  {number}  ", "bold cyan"), (f"{one_line(option.id, 40):<{min(width, 40)}}  ", "cyan"), one_line(option.name, 80)
            )
        )
    if reference is not None and question.options:
        lines.append(Text.assemble("  Answer it with: ", (command_line("answer", reference, question.options[0].id), "cyan")))
    return lines


def _remark(remark: Remark, marks: Marks) -> list[Text]:
    mark, style = {"error": (f"{marks.failed} ", "red"), "warning": ("! ", "yellow")}.get(remark.level, ("", "dim"))
    return _prefixed(cut_lines(remark.text, _REMARK_LINES), mark, style)
