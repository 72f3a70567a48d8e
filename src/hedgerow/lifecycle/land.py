"""The result of a run: what the agent changed becomes a commit on a branch."""

import asyncio
import secrets
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from hedgerow.db import runs
from hedgerow.domain.actions import Land
from hedgerow.domain.branches import result_branch
from hedgerow.domain.checkpoints import after_landing
from hedgerow.domain.errors import HedgerowError
from hedgerow.domain.progress import Step
from hedgerow.domain.runs import EndReason, TaskRun, merge_output
from hedgerow.lifecycle.agent_choice import choose_agent
from hedgerow.lifecycle.facts import change_in, require_own
from hedgerow.lifecycle.github import commit_author, git_login
from hedgerow.lifecycle.node import Node, make_private
from hedgerow.lifecycle.one_shot import OneShot, open_again
from hedgerow.lifecycle.origin import Origin, origin_of
from hedgerow.lifecycle.sandbox_choice import choose_sandbox
from hedgerow.lifecycle.steps import step
from hedgerow.repositories import Login, Published

log = structlog.get_logger()

_COLLECT_SECONDS = 300.0


async def land(node: Node, run: TaskRun, action: Land) -> None:
    """Commit what the agent left, publish it, write branch and commit into the run, whose checkpoint is of no use once that is pushed.

    Safe to repeat. Raises HedgerowError.
    """
    origin = await origin_of(node, run)
    published = None
    if origin.clone_url is not None and run.execution.base_commit is not None:
        async with step(node, run, Step.RESULT) as note:
            result = await _collect(node, run, origin)
            published = await _publish(node, run, origin.clone_url, origin, result)
            note.detail = _describe(published)
    await _write_down(node, run, published)


async def _collect(node: Node, run: TaskRun, origin: Origin) -> Path:
    """Let a sandbox of its own commit and bundle the work: the workspace's git settings are the agent's, so the host runs no git there.

    Returns the folder with the result.
    """
    folders = node.folders(run.id)
    provider = await choose_sandbox(node, choose_agent(node, run))
    attempt = secrets.token_hex(4)
    result = folders.result(attempt)
    await asyncio.to_thread(make_private, result, provider.owner)
    await asyncio.to_thread(open_again, folders.workspace)
    assert run.execution.base_commit is not None
    assert origin.mirror is not None
    command = node.repositories.collect_command(
        workspace=folders.workspace,
        result=result,
        mirror=origin.mirror,
        base_commit=run.execution.base_commit,
        message=origin.task_title,
        author=await commit_author(node, run),
    )
    shot = OneShot(
        what="result",
        command=command,
        attempt=attempt,
        writable=(folders.workspace, folders.home, result),
        readable=(origin.mirror.parent,),
        seconds=_COLLECT_SECONDS,
    )
    await shot.run(node, run, provider)
    return result


async def _publish(node: Node, run: TaskRun, clone_url: str, origin: Origin, result: Path) -> Published | None:
    assert run.execution.base_commit is not None
    return await node.repositories.publish(
        project_id=run.project_id,
        clone_url=clone_url,
        result=result,
        branch=result_branch(origin.task_slug, run.number),
        run_id=run.id,
        base_commit=run.execution.base_commit,
        login=await _login(node, run, clone_url),
        allowed=partial(require_own, node, run),
    )


async def _login(node: Node, run: TaskRun, clone_url: str) -> Login | None:
    """What opens the origin. Where that can't be had, the push says that it was refused; the result is safe in the mirror."""
    try:
        return await git_login(node, run, clone_url)
    except HedgerowError as problem:
        log.warning("the result is pushed without a token", run_id=str(run.id), reason=problem.message)
        return None


def _describe(published: Published | None) -> str:
    if published is None:
        return "nothing was changed"
    where = f"{published.commit[:12]} on {published.branch}"
    return where if published.pushed else f"{where}, kept in hedgerow's mirror: {published.push_error}"


async def _write_down(node: Node, run: TaskRun, published: Published | None) -> None:
    def columns(fresh: TaskRun) -> dict[str, Any]:
        if published is None:
            return {}
        output = {} if _holds_an_answer(fresh) else {"output": merge_output(fresh.output, _output(published))}
        return {"branch": published.branch} | output

    async with node.backends.database.transaction() as tx:
        fresh = await change_in(tx, node, run, columns)
        left = after_landing(fresh, pushed=published is None or published.pushed)
        await runs.note(tx, fresh.id, {"landed_at": node.backends.clock.now(), **left})


def _holds_an_answer(run: TaskRun) -> bool:
    """Whether the run's output is an answer that the branch must not be written into: one that fits a schema, or is no object."""
    ending = run.execution.ending
    accepted = ending is not None and ending.reason is EndReason.OUTPUT_ACCEPTED
    return accepted or not (run.output is None or isinstance(run.output, dict))


def _output(published: Published) -> dict[str, Any]:
    output = {
        "head_branch": published.branch,
        "commit": published.commit,
        "diff_stat": dict(published.diff_stat),
        "pushed": published.pushed,
    }
    return output if published.pushed else output | {"push_error": published.push_error}
