"""Follows one run on a terminal or into a file, until it has ended or the reader leaves."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from hedgerow.cli import conversation
from hedgerow.cli.ending import DETACHED, describe_ending, exit_code
from hedgerow.cli.feed import Feed, Happening, Interrupted, Lost, Told, ctrl_c
from hedgerow.cli.finding import repository_of, short
from hedgerow.cli.headline import headline
from hedgerow.cli.items import Prompted, Question, Remark
from hedgerow.cli.program import command_line
from hedgerow.cli.safe_text import duration, one_line, ordinal
from hedgerow.cli.screen import Screen
from hedgerow.cli.stopping import cancel_run, close_run
from hedgerow.cli.transcript import Transcript
from hedgerow.client import Client, Cut, Ended, Received, Run, Task
from hedgerow.client.places import RunPlace
from hedgerow.domain.runs import RunStatus

_TICK_SECONDS = 0.1
_QUIET_SECONDS = 0.3


def follow_run(client: Client, wanted: RunPlace, console: Console) -> int:
    """Show a run from its beginning until it has ended; the exit code that tells how (see `hedgerow run --help`).

    Ctrl-C asks the agent to cancel, a second one leaves the run alone and returns 130. Works in any thread; outside of the
    main one Ctrl-C is left to the caller. Raises ClientError where the run cannot be followed.
    """
    task, run = client.retrieve_task(wanted.task_id), client.retrieve_run(wanted)
    return _Follower(client, task, run, console).follow()


class _Follower:
    def __init__(self, client: Client, task: Task, run: Run, console: Console) -> None:
        self._client, self._task, self._run = client, task, run
        self._reference = short(run.id)
        self._transcript = Transcript()
        self._person = conversation.person_present(console)
        self._screen = Screen(console, self._transcript, None if self._person else self._reference, self._footer)
        self._feed = Feed(lambda: client.follow(run))
        self._interrupts = 0
        self._cut: Cut | None = None
        self._quiet_since = time.monotonic()
        self._offered: set[str] = set()  # questions that the person here was asked
        self._typed: list[str] = []  # messages of the person here that the agent has not yet got
        self._turns_offered = 0  # turns after which the person here was asked for a message

    def follow(self) -> int:
        for line in headline(self._task, self._run):
            self._screen.print(line)
        self._feed.start()
        with ctrl_c(self._feed.interrupt), self._screen:
            while True:
                happening = self._feed.next(_TICK_SECONDS)
                code = self._pause() if happening is None else self._take(happening)
                if code is not None:
                    return code
                self._screen.draw()

    def _take(self, happening: Happening) -> int | None:
        """Show one thing that happened; the exit code where it was the last."""
        match happening:
            case Received(data=data):
                self._received(data)
            case Cut():
                self._note_cut(happening)
            case Ended(run):
                return self._end(run)
            case Interrupted():
                return self._interrupt()
            case Told(text, failed) if text:
                self._screen.show(Remark(text, "warning" if failed else "note"))
            case Lost(error):
                raise error
        return None

    def _received(self, data: dict[str, Any]) -> None:
        self._cut = None
        self._quiet_since = time.monotonic()
        for item in self._transcript.apply(data):
            if isinstance(item, Prompted) and item.text in self._typed:
                self._typed.remove(item.text)  # it stands there already, as it was typed
            else:
                self._screen.show(item)

    def _pause(self) -> int | None:
        """Nothing has come for a moment, so what waits for a person waits now, and was not answered long ago."""
        if time.monotonic() - self._quiet_since < _QUIET_SECONDS:
            return None
        for question in self._transcript.questions.values():
            if question.request_id not in self._offered:
                self._offered.add(question.request_id)
                return self._answer(question)
        if self._run.interactive and self._transcript.turns > self._turns_offered and not self._transcript.turn_running:
            self._turns_offered = self._transcript.turns
            return self._converse()
        return None

    def _answer(self, question: Question) -> int | None:
        """Let the person at the terminal answer, where there is one."""
        if not self._person or not question.options:
            return None
        with self._screen.resting():
            choice = conversation.ask_for_choice(question)
        match choice:
            case conversation.Choice(request_id, option_id):
                self._tell(lambda: self._client.answer_permission(self._run, request_id, option_id))
            case conversation.Leave():
                return self._detach()
        return None

    def _converse(self) -> int | None:
        """A turn of an interactive run is over: let the person at the terminal say what comes next, where there is one."""
        if self._interrupts:
            self._interrupts = 0  # the turn was cancelled, as asked; the run goes on
        if not self._person:
            self._screen.show(Remark(f"The agent waits for a message: {command_line('send', self._reference, 'TEXT')}"))
            return None
        with self._screen.resting():
            next_word = conversation.ask_for_message(self._screen.console, self._screen.marks)
        match next_word:
            case conversation.Message(text):
                self._typed.append(text)
                self._tell(lambda: self._client.send_message(self._run, text))
            case conversation.Close():
                self._feed.ask(lambda: close_run(self._client, self._run))
            case conversation.Leave():
                return self._detach()
        return None

    def _tell(self, say: Callable[[], object]) -> None:
        """Send a command whose outcome the journal shows; only a refusal is told."""

        def ask() -> str:
            say()
            return ""

        self._feed.ask(ask)

    def _note_cut(self, cut: Cut) -> None:
        if self._cut is None and not self._screen.lives:
            self._screen.show(Remark(f"The connection was lost ({one_line(cut.reason, 100)}); trying again.", "warning"))
        self._cut = cut

    def _end(self, run: Run) -> int:
        for item in self._transcript.finish():
            self._screen.show(item)
        self._screen.rest()
        self._screen.print(Text(""))
        for line in describe_ending(run, repository_of(self._client, self._task), self._screen.marks, self._transcript.last_problem):
            self._screen.print(line)
        return exit_code(run)

    def _interrupt(self) -> int | None:
        self._interrupts += 1
        if self._interrupts > 1:
            return self._detach()
        self._screen.show(Remark("Asking the agent to cancel. Ctrl-C again leaves the run to itself."))
        self._feed.ask(lambda: cancel_run(self._client, self._run, end_interactive=False))
        return None

    def _detach(self) -> int:
        self._screen.rest()
        self._screen.print(Text(""))
        self._screen.print(Text("Detached; the run goes on."))
        self._screen.print(Text.assemble("  follow it   ", (command_line("logs", self._reference, "-f"), "cyan")))
        self._screen.print(Text.assemble("  cancel it   ", (command_line("cancel", self._reference), "cyan")))
        return DETACHED

    def _footer(self) -> str:
        elapsed = duration((datetime.now(UTC) - self._run.created_at).total_seconds())
        if threading.current_thread() is not threading.main_thread():
            return f"{self._doing()} · {elapsed}"  # Ctrl-C belongs to somebody else
        return f"{self._doing()} · {elapsed} · {'Ctrl-C again detaches' if self._interrupts else 'Ctrl-C cancels'}"

    def _doing(self) -> str:
        if self._cut is not None:
            return "Connection lost, trying again"
        if self._interrupts:
            return "Cancelling"
        if self._transcript.questions:
            return "Waiting for an answer"
        if self._transcript.turn_running:
            return "Working"
        if self._transcript.turns:
            return "Waiting for a message" if self._run.interactive else "Finishing"
        if self._transcript.status in {None, RunStatus.QUEUED, RunStatus.NOT_STARTED} and not self._transcript.steps:
            place = self._transcript.place
            return "Waiting for a worker" if place is None else f"Waiting, {ordinal(place)} in line"
        return "Preparing"
