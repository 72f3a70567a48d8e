"""Installing an agent, with programs of the test's own in the place of Node and npm."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from hedgerow.agents.install import InstallProgress, install
from hedgerow.agents.options import AgentOptions
from hedgerow.agents.pins import LOCKS, PACKAGES
from hedgerow.domain.errors import InvalidError, UnavailableError

NODE = """#!/bin/sh
case "$2" in
    process.versions.node) echo {version} ;;
    *) echo "$(readlink -f "$0")" ;;
esac
"""

NPM = """#!/bin/sh
echo "$@" >> {log}
env >> {log}
[ -z "{failure}" ] || {{ echo "npm error code EINTEGRITY" >&2; echo "npm error {failure}" >&2; exit 1; }}
while [ "$1" != --prefix ]; do shift; done
mkdir -p "$2/node_modules/package/dist" "$2/.npm"
umask 077
echo "code" > "$2/node_modules/package/dist/index.js"
"""


class Machine:
    """A machine with a Node of that version, and an npm that writes down how it was called."""

    def __init__(self, folder: Path, *, version: str = "20.11.1", failure: str = "") -> None:
        self.log = folder / "npm.log"
        self.tree = folder / "data" / "runtime" / "1.0"
        programs = folder / "programs"
        programs.mkdir()
        for name, text in (("node", NODE.format(version=version)), ("npm", NPM.format(log=self.log, failure=failure))):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self.options = AgentOptions(environment={"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(folder), "ANTHROPIC_API_KEY": "sk-1"})
        self.news: list[InstallProgress] = []

    async def install(self, name: str) -> Path:
        return await install(name, self.tree, self.options, self.news.append)


@pytest.mark.parametrize("agent", PACKAGES)
def test_the_locked_packages_are_the_pinned_ones_and_name_no_registry(agent: str) -> None:
    package = PACKAGES[agent]
    lock = json.loads((LOCKS / agent / "package-lock.json").read_text())["packages"]
    assert lock[""]["dependencies"] == {package.npm_name: package.version}
    assert lock[f"node_modules/{package.npm_name}"]["version"] == package.version
    assert all("integrity" in entry and "resolved" not in entry for path, entry in lock.items() if path)


async def test_an_agent_is_installed_whole_and_readable_for_everyone(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    folder = await machine.install("claude")
    assert folder == PACKAGES["claude"].folder(machine.tree)
    assert (folder / "node_modules" / "package" / "dist" / "index.js").stat().st_mode & 0o777 == 0o644
    assert (folder / "bin" / "without-keys").stat().st_mode & 0o777 == 0o755
    assert PACKAGES["claude"].installed(machine.tree)
    assert not (folder / ".npm").exists()


async def test_a_node_that_a_sandbox_would_not_see_is_copied_beside_the_tree(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    node = (await machine.install("codex") / "bin" / "node").resolve()
    assert node.is_relative_to(machine.tree.parent / "node")
    assert os.access(node, os.X_OK)


async def test_npm_runs_nothing_that_packages_bring_and_sees_no_key(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    await machine.install("claude")
    called = machine.log.read_text()
    assert called.startswith("ci --ignore-scripts")
    assert "--cache" in called
    assert "sk-1" not in called


async def test_progress_goes_up_to_the_end(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    await machine.install("claude")
    fractions = [news.fraction for news in machine.news]
    assert fractions == sorted(fractions)
    assert (fractions[-1], machine.news[-1].step) == (1.0, "installed")


async def test_what_is_installed_is_not_installed_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    await asyncio.gather(*(machine.install("claude") for _ in range(3)))
    assert machine.log.read_text().count("ci --ignore-scripts") == 1


async def test_a_failure_of_npm_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, failure="sha512 integrity checksum failed")
    with pytest.raises(UnavailableError, match=r"^Claude Code could not be installed with npm: sha512 integrity checksum failed\.$"):
        await machine.install("claude")
    assert not PACKAGES["claude"].installed(machine.tree)
    assert [path.name for path in PACKAGES["claude"].folder(machine.tree).parent.iterdir()] == [".lock"]


async def test_a_name_that_needs_no_installing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="claude, codex"):
        await Machine(tmp_path).install("scripted")


async def test_an_old_node_counts_as_none_and_a_registry_out_of_reach_is_said(tmp_path: Path) -> None:
    machine = Machine(tmp_path, version="16.20.0")
    nowhere = dict.fromkeys(("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"), "http://127.0.0.1:9/simple")
    quick = {"PIP_RETRIES": "0", "PIP_FIND_LINKS": "", "PIP_NO_INDEX": "0", "UV_HTTP_RETRIES": "0", "UV_CACHE_DIR": str(tmp_path / "cache")}
    machine.options = AgentOptions(environment={**machine.options.environment, **nowhere, **quick, "PIP_NO_CACHE_DIR": "1"})
    with pytest.raises(UnavailableError, match=r"Node 20 or newer .*Install Node, then try again\.$"):
        await machine.install("claude")
