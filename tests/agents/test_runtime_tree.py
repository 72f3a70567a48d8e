"""The runtime tree: made once, whole, for every account, and never written again."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hedgerow.agents import inner_packages, runtime_tree
from hedgerow.agents.interpreter_copy import base_interpreter
from hedgerow.agents.runtime_tree import ensure, folders, python_command
from hedgerow.domain.errors import UnavailableError

pytestmark = pytest.mark.whole

IMPORT = "import hedgerow.agent_server.__main__, hedgerow.scripted_agent.__main__, sys; print(sys.prefix)"
SOMEBODY = 61_999


def _run(tree: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [*python_command(tree), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)  # type: ignore[call-overload, no-any-return]


def test_its_python_runs_the_programs_of_the_sandbox(tree: Path) -> None:
    answer = _run(tree, "-c", IMPORT)
    assert answer.stderr == ""
    assert Path(answer.stdout.strip()) == tree / "python"


def test_it_holds_nothing_of_the_outside_floors(tree: Path) -> None:
    inside = {path.name for path in (tree / "packages" / "hedgerow").iterdir()}
    assert {"agent_server", "scripted_agent", "domain", "__init__.py"} <= inside
    assert inside.isdisjoint({"api", "db", "operations", "lifecycle", "agents", "sandboxes", "cli", "settings.py", "app.py"})
    assert not (tree / "packages" / "fastapi").exists()


def test_its_python_minds_neither_the_environment_nor_the_working_directory(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "hedgerow.py").write_text("raise SystemExit('taken from the working directory')")
    environment = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": str(tmp_path), "PYTHONSTARTUP": str(tmp_path / "hedgerow.py")}
    assert _run(tree, "-c", IMPORT, cwd=tmp_path, env=environment).returncode == 0


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_another_account_runs_it_and_cannot_write_it(tree: Path) -> None:
    def become_somebody() -> None:
        os.setgroups([])
        os.setgid(SOMEBODY)
        os.setuid(SOMEBODY)

    assert _run(tree, "-c", IMPORT, preexec_fn=become_somebody).stderr == ""
    look = f"import os; print([p for p, _, _ in os.walk({str(tree)!r}) if os.access(p, os.W_OK)])"
    assert _run(tree, "-c", look, preexec_fn=become_somebody).stdout.strip() == "[]"


def test_everything_in_it_can_be_read_by_everyone(tree: Path) -> None:
    for folder, _, files in os.walk(tree):
        assert Path(folder).stat().st_mode & 0o777 == 0o755
        assert all((Path(folder) / name).stat().st_mode & 0o444 == 0o444 for name in files)


def test_starting_it_writes_no_bytecode_and_compiles_none(tree: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*.pyc")}
    answer = _run(tree, "-v", "-c", IMPORT)
    assert answer.returncode == 0
    compiled = [line for line in answer.stderr.splitlines() if line.startswith("# code object from /") or "# wrote" in line]
    assert compiled == []
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*.pyc")} == before


def test_it_maps_no_library_that_another_account_may_not_have(tree: Path) -> None:
    look = "import ssl, ctypes, sqlite3, sys; print(*sorted({l.split()[-1] for l in open('/proc/self/maps') if '.so' in l}), sep='\\n')"
    strays = [path for path in _run(tree, "-c", look).stdout.split() if not path.startswith((str(tree), "/usr/", "/lib"))]
    assert strays == []


def test_a_second_call_finds_it(tree: Path) -> None:
    stamp = tree.stat().st_mtime_ns
    assert asyncio.run(ensure(tree.parent.parent)) == tree
    assert tree.stat().st_mtime_ns == stamp
    assert folders(tree) == (tree.parent,)


async def test_a_change_of_hedgerow_makes_another_tree_beside_it(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_tree, "_LAYOUT", "another")
    monkeypatch.setattr(runtime_tree, "_make", lambda tree, interpreter: tree.mkdir())
    other = await ensure(tree.parent.parent)
    other.rmdir()
    assert other != tree
    assert other.parent == tree.parent


async def test_what_was_left_half_made_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runtime_tree, "_compile", fail)
    monkeypatch.setattr(runtime_tree, "copy_packages", lambda target, distributions: target.mkdir())
    with pytest.raises(UnavailableError, match="No space left on device"):
        await ensure(tmp_path)
    assert [path.name for path in (tmp_path / "runtime").iterdir()] == [".lock"]


async def test_several_callers_at_once_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def make(tree: Path, interpreter: Path) -> None:
        made.append(tree)
        tree.mkdir()

    monkeypatch.setattr(runtime_tree, "_make", make)
    trees = await asyncio.gather(*(ensure(tmp_path) for _ in range(4)))
    assert made == [trees[0]]


async def test_a_python_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="/bin/true"):
        await ensure(tmp_path, interpreter=Path("/bin/true"))


def test_the_base_python_is_found_from_within_a_virtual_environment() -> None:
    assert not base_interpreter().is_relative_to(sys.prefix) or sys.prefix == sys.base_prefix
    assert base_interpreter().exists()


def test_the_distributions_are_those_that_the_inner_modules_import_with_what_these_need() -> None:
    found = set(inner_packages.inner_distributions())
    assert {"agent-client-protocol", "pydantic", "pydantic-core"} <= found
    assert found.isdisjoint({"fastapi", "uvicorn", "procrastinate", "psycopg", "typer", "rich", "hedgerow", "pytest"})
