"""Where a run is shown: plain lines into a file or a pipe, and on a terminal a region below them that lives."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from hedgerow.cli.items import Answered, Item, Plan, Question, StepOver, ToolOver
from hedgerow.cli.painting import INDENT, Marks, marks_for, message, paint, plan_lines, step_line, tool_line
from hedgerow.cli.safe_text import safe
from hedgerow.cli.transcript import Transcript

_FRAME_SECONDS = 0.1
_FEWEST_MESSAGE_LINES = 3
# What stands together without an empty line between: a step after a step, a tool call after a tool call.
_GROUPS: dict[type, str] = {StepOver: "steps", ToolOver: "tools", Question: "question", Answered: "question"}


class Footer(Protocol):
    """Says in a few words what the run is doing, for the last line of the living region."""

    def __call__(self) -> str: ...


class Screen:
    """Shows a run's pieces as they come. Not for several threads at once."""

    def __init__(self, console: Console, transcript: Transcript, reference: str | None, footer: Footer) -> None:
        """`reference` is how a command line names the run; None where a person is asked here, and need not be told commands."""
        self.console = console
        self.marks: Marks = marks_for(console)
        self._transcript = transcript
        self._reference = reference
        self._footer = footer
        self._group = ""
        self._live: Live | None = None
        self._drawn_at = 0.0

    @property
    def lives(self) -> bool:
        """Whether there is a terminal to keep moving."""
        return self.console.is_terminal and not self.console.is_dumb_terminal

    @property
    def _width(self) -> int:
        return max(self.console.width - len(INDENT) - 1, 20)

    def __enter__(self) -> "Screen":
        self.wake()
        return self

    def __exit__(self, *_: object) -> None:
        self.rest()

    def wake(self) -> None:
        """Begin to show the living region, on a terminal."""
        if self.lives and self._live is None:
            self._live = Live(console=self.console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
            self._live.start()

    def rest(self) -> None:
        """Take the living region away; what was printed stays."""
        if self._live is not None:
            self._live.update(Text(""))
            self._live.stop()
            self._live = None

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Keep the terminal still while a person types."""
        self.rest()
        try:
            yield
        finally:
            self.wake()

    def show(self, item: Item) -> None:
        """Print a finished piece, set apart from what is of another kind."""
        if isinstance(item, Plan) and self._live is not None:
            return  # it is in the living region until its turn is over
        group = _GROUPS.get(type(item), "")
        if not group or group != self._group:
            self.print(Text(""))
        self._group = group or type(item).__name__
        for line in paint(item, self.marks, self._reference, self._width if self.lives else None):
            self.print(line)

    def print(self, line: Text) -> None:
        """Print one line: wrapped with its indentation on a terminal, whole in a file."""
        if not self.lives:
            self.console.print(Text(INDENT) + line if line.plain else line, soft_wrap=True, highlight=False, markup=False)
            return
        for row in line.wrap(self.console, self._width) or [line]:
            self.console.print(Text(INDENT) + row if row.plain else row, highlight=False, markup=False, no_wrap=True, overflow="ellipsis")

    def draw(self) -> None:
        """Bring the living region up to date, at most ten times a second."""
        now = time.monotonic()
        if self._live is None or now - self._drawn_at < _FRAME_SECONDS:
            return
        self._drawn_at = now
        self._live.update(self._region(now), refresh=True)

    def _region(self, now: float) -> Group:
        spinner = self.marks.spinner[int(now / _FRAME_SECONDS) % len(self.marks.spinner)]
        running = [*self._steps(spinner), *self._tools(spinner)]
        plan = self._plan()
        below = [*running, *([Text("")] if running and plan else []), *plan]
        below += [
            *([Text("")] if below or self._transcript.message or self._transcript.thought else []),
            Text(f"{spinner} {self._footer()}", "dim"),
        ]
        above = self._speech(max(self.console.height - len(below) - 2, _FEWEST_MESSAGE_LINES))
        rows = [Text(""), *above, *([Text("")] if above and below[0].plain else []), *below]
        for row in rows:
            row.pad_left(len(INDENT))
            row.no_wrap, row.overflow = True, "ellipsis"
        return Group(*rows[-max(self.console.height - 1, 1) :])

    def _steps(self, spinner: str) -> list[Text]:
        now = datetime.now(UTC)
        return [
            step_line(spinner, "cyan", step.label, (now - step.since).total_seconds() if step.since else None, step.detail)
            for step in self._transcript.steps.values()
        ]

    def _tools(self, spinner: str) -> list[Text]:
        return [
            tool_line(call, self.marks, width=self._width, spinner=spinner) for call in self._transcript.tools.values() if not call.over
        ]

    def _plan(self) -> list[Text]:
        plan = self._transcript.plan
        return plan_lines(plan, self.marks) if plan else []

    def _speech(self, height: int) -> list[Text]:
        """The end of what the agent is saying, or thinking, in at most `height` rows."""
        thought = [Text(line, "dim italic") for line in safe(self._transcript.thought[-4000:]).strip().splitlines()]
        said = message(safe(self._transcript.message[-8000:]).strip("\n")) if self._transcript.message.strip() else []
        rows = [row for line in (*thought, *said) for row in (line.wrap(self.console, self._width) or [line])]
        return rows[-height:]
