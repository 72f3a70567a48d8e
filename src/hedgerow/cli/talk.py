"""`hedgerow send`, `answer` and `cancel`: words to the agent of a run."""

from typing import Annotated

import typer

from hedgerow.cli.connect import connect, output
from hedgerow.cli.errors import UsageError
from hedgerow.cli.finding import find_run, short
from hedgerow.cli.items import Question
from hedgerow.cli.program import command_line
from hedgerow.cli.stopping import cancel_run

app = typer.Typer()
RUN_HELP = "The run: its id, the last characters of it, or the slug of a task for its latest run."
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP, show_default=False)]


@app.command()
def send(run: RunArgument, text: Annotated[str, typer.Argument(help="What to say.", show_default=False)]) -> None:
    """Send the agent of a run a message. It is delivered once the agent has finished its present turn."""
    if not text.strip():
        raise UsageError("The message is empty.")
    with connect() as client:
        _, found = find_run(client, run)
        client.send_message(found, text)
    output().print(f"Sent. Watch the answer: {command_line('logs', short(found.id), '-f')}", soft_wrap=True)


@app.command()
def answer(
    run: RunArgument, option: Annotated[str, typer.Argument(help="The option to choose, as the question shows it.", show_default=False)]
) -> None:
    """Answer a permission request of an agent: its oldest open one that has such an option."""
    from hedgerow.cli.questions import open_questions

    with connect() as client:
        _, found = find_run(client, run)
        questions = open_questions(client, found)
        fitting = [question for question in questions if option in {choice.id for choice in question.options}]
        if not fitting:
            raise UsageError(_unasked(questions, option))
        client.answer_permission(found, fitting[0].request_id, option)
    output().print(f"Answered {option}: {fitting[0].title}", soft_wrap=True)


@app.command()
def cancel(run: RunArgument) -> None:
    """Tell the agent of a run to stop. What it has done so far is kept on the run's branch."""
    with connect() as client:
        _, found = find_run(client, run)
        output().print(cancel_run(client, found, end_interactive=True), soft_wrap=True)


def _unasked(questions: list[Question], option: str) -> str:
    options = sorted({choice.id for question in questions for choice in question.options})
    if not options:
        return "The agent is not waiting for an answer."
    return f"{option!r} is none of the answers that the agent waits for: {', '.join(options)}."
