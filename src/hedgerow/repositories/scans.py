"""Looks through every source file of a commit, inside a mirror: no checkout, no request to anybody.

`git grep` finds the files that may say something, and only those are read. It runs on an index that holds the candidates alone, under
numbers: so no name of the repository reaches a command, and neither its attributes nor the links and submodules in it matter.
"""

import asyncio
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hedgerow.domain.errors import TimedOutError, UnavailableError
from hedgerow.domain.repository_scans import NEEDLES, Scan, Signals, is_candidate, signals_in, traits_of, with_signals
from hedgerow.repositories.plumbing import Plumbing

_REGULAR = "100"  # how the modes of regular files begin
_FILES_PER_FOLDER = 1000
_READ_AT_ONCE_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """How much a scan may take. Files of more than `file_bytes` are left out, since git holds a file whole in memory."""

    seconds: float = 30.0
    file_bytes: int = 4 * 2**20


class _File(NamedTuple):
    """A file of a tree, by the name of its object. A tuple is made quickest."""

    name: str
    size: int


async def scan(plumbing: Plumbing, mirror: Path, commit: str, limits: ScanLimits) -> Scan:
    """What the source files of `commit` say. Raises UnavailableError, and TimedOutError after the limit's time."""
    try:
        async with asyncio.timeout(limits.seconds):
            return await _scan(plumbing, mirror, commit, limits)
    except TimeoutError:
        raise TimedOutError(f"The scan took longer than {limits.seconds:g} seconds and was stopped.") from None


async def _scan(plumbing: Plumbing, mirror: Path, commit: str, limits: ScanLimits) -> Scan:
    listing = await plumbing.read(mirror, "ls-tree", "-r", "-l", "-z", "--full-tree", commit)
    found, candidates = await asyncio.to_thread(_sorted_out, listing, limits.file_bytes)
    for part in _parts(await _matching(plumbing, mirror, candidates)):
        contents = await plumbing.read(mirror, "cat-file", "--batch", "--buffer", stdin="".join(f"{file.name}\n" for file in part))
        found = with_signals(found, await asyncio.to_thread(_signals, contents, len(part)))
    return found


def _sorted_out(listing: str, largest_bytes: int) -> tuple[Scan, list[_File]]:
    """A scan that has looked at names alone, and the files that are to be looked into. One pass, for there may be very many."""
    candidates: list[_File] = []

    def names() -> Iterator[str]:
        for path, file in _files(listing):
            if file.size <= largest_bytes and is_candidate(path):
                candidates.append(file)
            yield path

    traits = traits_of(names())
    return Scan(files_scanned=len(candidates), traits=traits), candidates


def _files(listing: str) -> Iterator[tuple[str, _File]]:
    """The regular files of a tree, by path: no links, no submodules."""
    begin = 0
    while (end := listing.find("\0", begin)) >= 0:
        facts, _, path = listing[begin:end].partition("\t")
        begin = end + 1
        if facts.startswith(_REGULAR):
            _, _, name, size = facts.split()
            yield path, _File(name, int(size) if size.isdigit() else 0)


async def _matching(plumbing: Plumbing, mirror: Path, candidates: list[_File]) -> list[_File]:
    """The candidates that hold any of the words."""
    if not candidates:
        return []
    with tempfile.TemporaryDirectory(prefix="hedgerow-scan-") as folder:
        environment = {**plumbing.environment, "GIT_INDEX_FILE": str(Path(folder) / "index")}
        on_index = Plumbing(environment=environment, timeout_seconds=plumbing.timeout_seconds)
        await on_index.read(mirror, "update-index", "-z", "--index-info", stdin=_index(candidates))
        words = [part for needle in NEEDLES for part in ("-e", needle)]
        # As text, whatever git takes them for: to find that out it would read the repository's attributes. With one thread, since
        # several wait for each other over the object store, and take longer and twice the processor for it.
        options = ("--threads=1", "--text", "--ignore-case", "--fixed-strings", "--files-with-matches", "-z")
        finished = await on_index.run(mirror, "grep", "--cached", *options, *words)
    if finished.code > 1 or "unable to read" in finished.errors:
        raise UnavailableError(f"The mirror {mirror} cannot be searched (git grep failed); it may be damaged.")
    return [candidates[int(name.rpartition("/")[2])] for name in finished.output.split("\0") if name]


def _index(candidates: Iterable[_File]) -> str:
    """The lines of an index in which every file has a number for its path. Sorted, which is what makes git quick about it."""
    return "".join(f"100644 {file.name}\t{number // _FILES_PER_FOLDER:06}/{number:09}\0" for number, file in enumerate(candidates))


def _parts(files: list[_File]) -> Iterator[list[_File]]:
    """Pieces whose contents are of a bounded size together."""
    part: list[_File] = []
    size = 0
    for file in files:
        if part and size + file.size > _READ_AT_ONCE_BYTES:
            yield part
            part, size = [], 0
        part.append(file)
        size += file.size
    if part:
        yield part


def _signals(output: str, expected: int) -> list[Signals]:
    contents = [signals_in(content.decode(errors="replace")) for content in _contents(output.encode(errors="surrogateescape"))]
    if len(contents) != expected:
        raise UnavailableError("The mirror lacks files of the commit; it may be damaged.")
    return contents


def _contents(output: bytes) -> Iterator[bytes]:
    """The contents in what `git cat-file --batch` writes: a line that ends with the size, the content, a line feed."""
    place = 0
    while place < len(output):
        end = output.index(b"\n", place)
        facts = output[place:end].split(b" ")
        if len(facts) != 3:
            return
        size = int(facts[2])
        yield output[end + 1 : end + 1 + size]
        place = end + size + 2
