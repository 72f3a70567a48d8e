"""GET repository_readiness/ with refresh (fetch, scan of every file, answer) for 50,000 files, against `git grep` of the same patterns."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.house import House
from benchmarks.report import Figure
from hedgerow.domain.repository_scans import NEEDLES, SOURCE_EXTENSIONS

FILES = 50_000
ROUNDS = 5
GOAL_SECONDS = 2.0
SETTINGS = {"HEDGEROW_READINESS_WAIT_SECONDS": "60", "HEDGEROW_READINESS_FETCH_SECONDS": "0.001"}
_LINE = b"const value = compute(alpha, beta); // an ordinary line that says nothing of what is looked for\n"
_ENDS = (b"ts", b"py", b"go", b"tsx")


def make_repository(folder: Path) -> Path:
    """A repository of FILES source files of 4 kB, of which one in 500 captures an event."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", folder], check=True)
    with subprocess.Popen(["git", "-C", folder, "fast-import", "--quiet"], stdin=subprocess.PIPE) as importing:
        assert importing.stdin is not None
        importing.stdin.writelines(_stream())
    assert importing.returncode == 0
    return folder


def _stream() -> Iterator[bytes]:
    yield b"commit refs/heads/main\ncommitter Benchmark <benchmark@localhost> 1700000000 +0000\ndata 5\nFiles\n"
    for number in range(FILES):
        content = b"// file %d\n" % number + _LINE * 40
        if number % 500 == 0:
            content += b"posthog.init('key')\nposthog.capture('event %d')\n" % number
        yield b"M 100644 inline src/d%d/f%d.%s\ndata %d\n%s\n" % (number // 100, number, _ENDS[number % 4], len(content), content)


def _grep_seconds(mirror: Path, commit: str) -> float:
    words = [part for needle in NEEDLES for part in ("-e", needle)]
    began = time.monotonic()
    command = ["git", "-C", str(mirror), "grep", "-l", "-i", "-F", *words, commit, "--", *(f"*{end}" for end in sorted(SOURCE_EXTENSIONS))]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    taken = time.monotonic() - began
    assert len(found.stdout.splitlines()) == FILES // 500
    return taken


def measure(house: House, repository: str) -> list[Figure]:
    """The whole request, interleaved with the yardstick on the server's own mirror."""
    ours, bare = [], []
    with house.client() as http:
        query = {"repository": repository, "refresh": "true"}
        url = f"{house.tasks}repository_readiness/"
        http.get(url, params=query).raise_for_status()
        mirror = next((house.data_dir / "mirrors").rglob("mirror.git"))
        for _ in range(ROUNDS):
            began = time.monotonic()
            answer = http.get(url, params=query).raise_for_status().json()
            ours.append(time.monotonic() - began)
            assert (answer["scan"]["filesScanned"], answer["scan"]["detectedFilesCount"]) == (FILES, FILES // 500), answer
            bare.append(_grep_seconds(mirror, "refs/remotes/origin/main"))
    taken, yardstick = median(ours), median(bare)
    name = f"readiness of {FILES:,} files, fetch included"
    goal = f"under {GOAL_SECONDS:g} s"
    return [Figure(name, f"{taken:.2f} s", f"git grep {yardstick:.2f} s", f"{taken / yardstick:.1f}", goal, taken < GOAL_SECONDS)]
