"""Ends a run on a person's word."""

from hedgerow.client import Client, ClientError, Run

_ENDED = "No active sandbox"  # the words by which clients know that no agent runs (contract 1.6)


def cancel_run(client: Client, wanted: Run, *, end_interactive: bool) -> str:
    """Ask the agent to break off; a run that has no agent is set to cancelled. What was done, in a sentence.

    An interactive run survives the end of its turn; `end_interactive` ends it as well. Raises ClientError.
    """
    run = client.retrieve_run(wanted)
    if run.status.terminal:
        return f"The run has already ended: {run.status.value}."
    try:
        client.cancel_turn(run)
    except ClientError as error:
        if _ENDED not in error.message:
            raise
        client.update_run(run, status="cancelled")
        return "No agent was running; the run is cancelled."
    if end_interactive and run.interactive:
        client.update_run(run, status="cancelled")
        return "The agent was told to stop, and the run is cancelled."
    return "The agent was told to stop."


def close_run(client: Client, run: Run) -> str:
    """End an interactive run whose person has nothing more to say: its work is collected. What was done, in a sentence."""
    client.update_run(run, status="completed")
    return "The run ends; its work is being collected."
