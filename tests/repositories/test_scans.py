"""Scans of real repositories, with what hostile ones may hold."""

import os
from pathlib import Path

import pytest

from hedgerow.domain.errors import InvalidError, TimedOutError, UnavailableError
from hedgerow.domain.repository_scans import Scan, Traits
from hedgerow.repositories import Repositories, ScanLimits
from tests.repositories.workbench import GitHost, commit, git

LIMITS = ScanLimits()


async def scanned(repositories: Repositories, origin: Path | str, limits: ScanLimits = LIMITS) -> Scan:
    """What a scan of the default branch finds."""
    url = str(origin)
    newest = await repositories.fetch_default_branch(project_id=1, clone_url=url)
    return await repositories.scan(project_id=1, clone_url=url, commit=newest, limits=limits)


async def test_every_source_file_of_the_default_branch_is_looked_into(repositories: Repositories, origin: Path) -> None:
    commit(
        origin,
        {
            "package.json": "{}",
            "src/init.ts": "PostHog.init('key')\n",
            "src/deep/er/events.tsx": "posthog.capture(\n  'b'\n)\nposthog.capture('a')\n",
            "errors.py": "sentry_sdk.capture_exception(e)\n",
            "notes.md": "posthog.capture('in prose')\n",
            "node_modules/x/index.js": "posthog.capture('of others')\n",
        },
    )

    found = await scanned(repositories, origin)

    assert found == Scan(
        files_scanned=4,
        detected_files=3,
        event_names=("a", "b"),
        found_init=True,
        found_capture=True,
        found_error_signal=True,
        traits=Traits(frontend_markers=1, backend_markers=0, frontend_files=True, backend_files=True),
    )


async def test_a_scan_sees_what_was_pushed_since_the_last_one_and_no_other_branch(repositories: Repositories, origin: Path) -> None:
    assert not (await scanned(repositories, origin)).found_init
    commit(origin, {"a.js": "posthog.init('k')"})
    git(origin, "switch", "-qc", "other")
    commit(origin, {"b.js": "posthog.capture('x')"})
    git(origin, "switch", "-q", "main")

    found = await scanned(repositories, origin)

    assert (found.found_init, found.found_capture) == (True, False)


async def test_a_host_is_asked_for_the_commits_and_for_no_file(repositories: Repositories, host: GitHost) -> None:
    assert (await scanned(repositories, f"{host.url}/team/app.git")).files_scanned == 1
    asked = len(host.requests)
    assert asked <= 6

    url = f"{host.url}/team/app.git"
    newest = await repositories.fetch_default_branch(project_id=1, clone_url=url)
    asked = len(host.requests)
    await repositories.scan(project_id=1, clone_url=url, commit=newest, limits=LIMITS)

    assert len(host.requests) == asked


async def test_names_contents_and_attributes_of_a_hostile_repository_do_no_harm(repositories: Repositories, origin: Path) -> None:
    (origin / ".gitattributes").write_text("*.js -diff binary diff=evil\n")
    for name in (b"-e evil.js", b"line\nfeed.js", b"tab\t.js", b"caf\xe9.js", b':(top) "quoted".js'):
        (origin / os.fsdecode(name)).write_text("posthog.init('k')")
    (origin / "giant_line.js").write_text("x" * 3_000_000 + "posthog.capture('far out')")
    (origin / "binary.js").write_bytes(b"\x00\x01posthog.capture('binary')")
    (origin / "latin.py").write_bytes(b"posthog.capture('na\xefve')")
    (origin / "link.js").symlink_to("/etc/passwd")
    (origin / "same.js").write_text("posthog.init('k')")
    git(origin, "config", "core.attributesFile", "/dev/null")
    commit(origin, {})

    found = await scanned(repositories, origin)

    assert found.files_scanned == 1 + 5 + 4
    assert found.detected_files == 5 + 3
    assert found.event_names == ("far out", "na\N{REPLACEMENT CHARACTER}ve")


async def test_submodules_and_links_are_left_alone(repositories: Repositories, origin: Path) -> None:
    head = git(origin, "rev-parse", "HEAD")
    git(origin, "update-index", "--add", "--cacheinfo", f"160000,{head},module.js")
    (origin / "loop.js").symlink_to("loop.js")
    git(origin, "add", "loop.js")
    git(origin, "commit", "-qm", "Odd entries")

    assert (await scanned(repositories, origin)).files_scanned == 1


async def test_files_that_are_too_large_are_left_out(repositories: Repositories, origin: Path) -> None:
    commit(origin, {"large.js": "posthog.init('k')" + "x" * 1000, "small.js": "posthog.capture('x')"})

    found = await scanned(repositories, origin, ScanLimits(file_bytes=1000))

    assert (found.files_scanned, found.found_init, found.found_capture) == (2, False, True)


async def test_more_matching_files_than_are_read_at_once_are_all_read(
    repositories: Repositories, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hedgerow.repositories.scans._READ_AT_ONCE_BYTES", 100)
    commit(origin, {f"f{number}.js": f"posthog.capture('event {number:02}')" for number in range(30)})

    found = await scanned(repositories, origin)

    assert (found.detected_files, len(found.event_names)) == (30, 30)


async def test_a_repository_of_sha256_is_scanned(repositories: Repositories, tmp_path: Path) -> None:
    origin = tmp_path / "new"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main", "--object-format=sha256")
    commit(origin, {"a.js": "posthog.init('k')"})

    assert (await scanned(repositories, origin)).found_init


async def test_a_repository_without_source_files_has_an_empty_scan(repositories: Repositories, tmp_path: Path) -> None:
    origin = tmp_path / "words"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    commit(origin, {"README.md": "posthog.init("})

    assert await scanned(repositories, origin) == Scan()


async def test_a_scan_that_takes_too_long_is_stopped(repositories: Repositories, origin: Path) -> None:
    with pytest.raises(TimedOutError):
        await scanned(repositories, origin, ScanLimits(seconds=0.000_1))


async def test_a_commit_that_is_not_there_is_told(repositories: Repositories, origin: Path) -> None:
    await scanned(repositories, origin)
    with pytest.raises(UnavailableError):
        await repositories.scan(project_id=1, clone_url=str(origin), commit="1" * 40, limits=LIMITS)


async def test_a_repository_without_commits_is_told(repositories: Repositories, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    with pytest.raises(InvalidError):
        await scanned(repositories, empty)


async def test_a_scan_leaves_nothing_in_the_mirror(repositories: Repositories, origin: Path) -> None:
    await scanned(repositories, origin)
    mirror = repositories.mirror(project_id=1, clone_url=str(origin))
    before = sorted(path for path in mirror.rglob("*"))

    await scanned(repositories, origin)

    assert sorted(path for path in mirror.rglob("*")) == before
