"""What a person at the terminal is asked while a run waits for them: the answer to a question, or the next message."""

import select
import sys
import threading
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from hedgerow.cli.feed import ctrl_c_breaks_off
from hedgerow.cli.items import Question
from hedgerow.cli.painting import INDENT, Marks

_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Message:
    """The person's next message to the agent."""

    text: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The person's answer to a question."""

    request_id: str
    option_id: str


@dataclass(frozen=True, slots=True)
class Skip:
    """The person leaves it to somebody else."""


@dataclass(frozen=True, slots=True)
class Close:
    """The person has nothing more to say: the run may end."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The person goes away; the run goes on."""


def person_present(console: Console) -> bool:
    """Whether somebody can be asked: a terminal both ways, in the program's main thread."""
    return console.is_terminal and sys.stdin.isatty() and threading.current_thread() is threading.main_thread()


def ask_for_message(console: Console, marks: Marks) -> Message | Close | Leave:
    """The next message. An empty line asks again; Ctrl-D closes the run, Ctrl-C leaves it."""
    console.print()
    console.print(Text(f"{INDENT}Your next message. Ctrl-D ends the run and keeps its work, Ctrl-C leaves it waiting.", "dim"))
    while True:
        text = _read(f"{INDENT}{marks.prompt} ")
        if text is None:
            return Leave()
        if text == "\x04":
            return Close()
        if text.strip():
            return Message(text.strip())


def ask_for_choice(question: Question) -> Choice | Skip | Leave:
    """The answer to a question, by its number. An empty line or Ctrl-D leaves the answer to somebody else."""
    while True:
        text = _read(f"{INDENT}Answer (1-{len(question.options)}, or nothing to answer elsewhere): ")
        if text is None:
            return Leave()
        typed = text.strip()
        if typed in {"", "\x04"}:
            return Skip()
        for number, option in enumerate(question.options, 1):
            if typed in {str(number), option.id}:
                return Choice(question.request_id, option.id)


def _read(prompt: str) -> str | None:
    """A line that was typed; an end of file as Ctrl-D's own character, None for Ctrl-C."""
    with ctrl_c_breaks_off():
        try:
            print(prompt, end="", flush=True)
            _await_line()
            return input()
        except EOFError:
            print()
            return "\x04"
        except KeyboardInterrupt:
            print()
            return None


def _await_line() -> None:
    """Wait until a line was typed. A Ctrl-C between the prompt and a read that blocks would be noticed only after the read."""
    while not select.select([sys.stdin], [], [], _LOOK_SECONDS)[0]:
        continue
