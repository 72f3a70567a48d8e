"""The permission requests of a run that nobody has answered yet."""

from hedgerow.cli.items import Question
from hedgerow.cli.transcript import Transcript
from hedgerow.client import Client, Run


def open_questions(client: Client, run: Run) -> list[Question]:
    """The open questions of a run, oldest first. They stand in the journal alone, so its stream is read up to the present."""
    if run.status.terminal:
        return []
    transcript = Transcript()
    for event in client.read_stream_so_far(run):
        transcript.apply(event.data)
    return list(transcript.questions.values())
