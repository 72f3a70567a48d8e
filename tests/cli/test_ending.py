from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hedgerow.cli.ending import describe_ending, exit_code
from hedgerow.cli.painting import Marks
from hedgerow.client import Repository, Run
from hedgerow.client.answers.runs import run_from
from hedgerow.domain.end_reasons import EXPLANATIONS
from hedgerow.domain.runs import EndReason, RunStatus

START = datetime(2026, 11, 22, tzinfo=UTC)


def ended(
    status: RunStatus, reason: EndReason | None = None, message: str | None = None, output: Any = None, base: str | None = None
) -> Run:
    state = {"end_reason": reason.value if reason else None, "pr_base_branch": base}
    times = {"created_at": START.isoformat(), "completed_at": (START + timedelta(seconds=12)).isoformat()}
    return run_from({"id": "r", "task": "t", "status": status.value, "error_message": message, "output": output, "state": state, **times})


def told(run: Run, repository: Repository | None = None) -> str:
    return "\n".join(line.plain for line in describe_ending(run, repository, Marks()))


@pytest.mark.parametrize(("status", "code"), [(RunStatus.COMPLETED, 0), (RunStatus.FAILED, 1), (RunStatus.CANCELLED, 3)])
def test_the_exit_code_tells_how_the_run_ended(status: RunStatus, code: int) -> None:
    assert exit_code(ended(status)) == code


def test_a_failure_says_what_failed_and_what_that_means() -> None:
    text = told(ended(RunStatus.FAILED, EndReason.START_FAILED, "There is no branch nope."))
    assert text.splitlines()[0] == "✗ Failed after 12 s"
    assert "There is no branch nope." in text
    assert EXPLANATIONS[EndReason.START_FAILED].title in text
    assert EXPLANATIONS[EndReason.START_FAILED].remedy in text


OUTPUT = {
    "head_branch": "hedgerow/FAK-0-1",
    "commit": "a" * 40,
    "diff_stat": {"files_changed": 2, "insertions": 10, "deletions": 3},
    "pushed": True,
}


def test_the_branch_of_a_folder_is_shown_with_commands_that_work_from_here(tmp_path: Path) -> None:
    text = told(ended(RunStatus.COMPLETED, EndReason.FINISHED, output=OUTPUT), Repository(name="local/x-1", clone_url=str(tmp_path)))
    assert f"git -C {tmp_path} log -p hedgerow/FAK-0-1" in text
    assert "2 files, +10 -3" in text
    assert "aaaaaaaaaaaa" in text


def test_inside_of_the_folder_the_commands_are_shorter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = told(ended(RunStatus.COMPLETED, output=OUTPUT), Repository(name="local/x-1", clone_url=str(tmp_path)))
    assert "git merge hedgerow/FAK-0-1" in text
    assert "-C" not in text


def test_a_branch_elsewhere_is_fetched() -> None:
    text = told(ended(RunStatus.COMPLETED, output=OUTPUT), Repository(name="a/b", clone_url="https://h.example/a/b"))
    assert "git fetch origin hedgerow/FAK-0-1" in text


def test_a_branch_that_was_not_pushed_says_why_and_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hedgerow.repositories import Repositories

    url = "https://h.example/a/b"
    mirror = Repositories(tmp_path / "mirrors", allow_local=True).mirror(project_id=1, clone_url=url)
    mirror.mkdir(parents=True)
    (mirror / "HEAD").write_text("ref: refs/heads/main\n")
    monkeypatch.setenv("HEDGEROW_DATA_DIR", str(tmp_path))
    output = OUTPUT | {"pushed": False, "push_error": "it is read-only"}
    text = told(ended(RunStatus.COMPLETED, output=output), Repository(name="a/b", clone_url=url))
    assert "could not be pushed: it is read-only" in text
    assert f"git fetch {mirror} hedgerow/FAK-0-1" in text


def test_no_change_is_said() -> None:
    assert "Changes  none" in told(ended(RunStatus.COMPLETED), Repository(name="a/b", clone_url="https://h.example/a/b"))


def test_work_that_began_at_uncommitted_changes_is_applied_on_top_of_them(tmp_path: Path) -> None:
    run = ended(RunStatus.COMPLETED, output=OUTPUT, base="refs/hedgerow/changes/0a1b2c")
    text = told(run, Repository(name="local/x-1", clone_url=str(tmp_path)))
    assert f"git -C {tmp_path} diff refs/hedgerow/changes/0a1b2c hedgerow/FAK-0-1 | git -C {tmp_path} apply" in text
