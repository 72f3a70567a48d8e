# Made from asynchronous/runs.py by scripts/blocking-client: change that file, not this one.
"""Runs (contract 4 and 5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Unpack

from hedgerow.client import answers
from hedgerow.client.blocking.caller import Caller
from hedgerow.client.calls import Repeat, get, patch, post
from hedgerow.client.places import RunPlace, TaskPlace, run_path, task_path

if TYPE_CHECKING:
    from hedgerow.client.answers.pages import Page
    from hedgerow.client.answers.runs import Run
    from hedgerow.client.answers.tasks import Task
    from hedgerow.client.fields import NewRunFields, RunChanges, StartFields


class RunCalls(Caller):
    """What one can do with runs."""

    def list_runs(self, task: TaskPlace | str, *, limit: int = 100, offset: int = 0) -> Page[Run]:
        """The runs of a task, newest first: one page of at most 1,000."""
        return self._ask(get(f"{task_path(task)}runs/", limit=limit, offset=offset), answers.pages.page_of(answers.runs.run_from))

    def iterate_runs(self, task: TaskPlace | str, *, page: int = 500) -> Iterator[Run]:
        """Every run of a task, newest first, page by page. A run made meanwhile is not among them."""
        seen: set[str] = set()
        offset, more = 0, True
        while more:
            runs = self.list_runs(task, limit=page, offset=offset)
            for run in runs:
                if run.id not in seen:  # a new run moves the others to later pages
                    seen.add(run.id)
                    yield run
            offset, more = offset + len(runs), runs.has_more and len(runs) > 0

    def create_run(self, task: TaskPlace | str, **fields: Unpack[NewRunFields]) -> Run:
        """A new run that waits for `start_run`, or is driven by somebody else (`environment` local)."""
        return self._ask(post(f"{task_path(task)}runs/", {**fields}, repeat=Repeat.UNDER_ITS_KEY), answers.runs.run_from)

    def retrieve_run(self, run: RunPlace) -> Run:
        """The run as it stands now."""
        return self._ask(get(run_path(run)), answers.runs.run_from)

    def update_run(self, run: RunPlace, **changes: Unpack[RunChanges]) -> Run:
        """Change a run; what is not named stays as it is."""
        return self._ask(patch(run_path(run), {**changes}), answers.runs.run_from)

    def start_run(self, run: RunPlace, **fields: Unpack[StartFields]) -> Task:
        """Start a run that was made before; the answer is its task."""
        return self._ask(post(f"{run_path(run)}start/", {**fields}, repeat=Repeat.UNDER_ITS_KEY), answers.tasks.task_from)

    def resume_in_cloud(self, run: RunPlace) -> Run:
        """Let hedgerow go on with a run that has ended, or that was driven by somebody else."""
        return self._ask(post(f"{run_path(run)}resume_in_cloud/"), answers.runs.run_from)

    def set_output(self, run: RunPlace, output: Any) -> Run:
        """Replace the output of a run by anything but None. It must fit the task's json_schema where there is one."""
        return self._ask(patch(f"{run_path(run)}set_output/", {"output": output}), answers.runs.run_from)

    def connection_token(self, run: RunPlace) -> str:
        """A token that opens the agent server of a run for a day. Keep it secret."""
        return self._ask(get(f"{run_path(run)}connection_token/"), lambda body: str(body["token"]))

    def relay_message(self, run: RunPlace, text: str) -> str | None:
        """Say something in the Slack thread that the run's task belongs to. The id of the message; None where there is no thread.

        This call is not made a second time where its outcome is not known: it might be said twice.
        """
        return self._ask(post(f"{run_path(run)}relay_message/", {"text": text}), _relay_id)


def _relay_id(body: dict[str, Any]) -> str | None:
    return body.get("relay_id")
