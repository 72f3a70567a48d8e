"""A bare mirror of every repository that a project works on, so that a second run fetches only what is new.

Layout: `refs/remotes/origin/*` are the branches of the origin and `refs/tags/*` its tags, both as of the last fetch; `refs/heads/*` are
the results of runs, `refs/hedgerow/results/<run>/<branch>` the same by run, and `refs/hedgerow/asked/*` what was asked for beyond
branches and tags. Only refs of the origin are ever pruned. Objects stay, because workspaces borrow them.
"""

import asyncio
import hashlib
import re
import shutil
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

from hedgerow.domain.errors import UnavailableError
from hedgerow.repositories import git, skeletons
from hedgerow.repositories.failures import failure
from hedgerow.repositories.locks import locked
from hedgerow.repositories.origins import Origins
from hedgerow.repositories.plumbing import Plumbing
from hedgerow.repositories.starts import ASKED, BRANCHES, TAGS, Start, choose
from hedgerow.repositories.urls import CloneUrl

_REFSPECS = (f"+refs/heads/*:{BRANCHES}*", f"+{TAGS}*:{TAGS}*")
_DETACHED = "+HEAD:refs/hedgerow/asked/HEAD"
_LOCKED = re.compile(r"Unable to create '(?P<file>[^'\n]+\.lock)': File exists")
_STALE_LOCK_SECONDS = 60
_MANY_REFS = 200


class Mirrors:
    """The mirrors of a machine, in one folder."""

    def __init__(self, root: Path, origins: Origins, plumbing: Plumbing) -> None:
        self._root = root
        self._origins = origins
        self._plumbing = plumbing
        self._fetched: dict[Path, float] = {}  # when the last successful fetch began, on the monotonic clock

    def path(self, project_id: int, url: CloneUrl) -> Path:
        """Where the mirror of `url` in a project lies, whether it exists or not; its folder is its own, and can be mounted before."""
        return self._root / str(project_id) / hashlib.sha256(url.clean.encode()).hexdigest()[:32] / "mirror.git"

    def hold(self, mirror: Path) -> AbstractAsyncContextManager[None]:
        """The lock of a mirror, between all tasks and processes of the machine: whoever writes into the mirror holds it."""
        return locked(beside(mirror, ".lock"))

    async def start(self, mirror: Path, url: CloneUrl, base: str | None) -> Start:
        """Bring the mirror up to date, making it where it is missing, and say where a run begins.

        `base` is the full ref to begin at, None for the origin's HEAD. Raises InvalidError where there is no such ref, no commit or no
        repository, UnavailableError where the origin cannot be reached; then no half-made mirror is left.
        """
        asked_at = time.monotonic()
        asking = asyncio.create_task(self._origins.head(url)) if base is None else None  # beside the fetch
        try:
            async with self.hold(mirror):
                note_use(mirror)
                await self._refresh(mirror, url, _extra(base), asked_at)
                head = await asking if asking is not None else None
                if head is not None and head.ref is None and head.commit is not None:
                    await self.fetch(mirror, url, (_DETACHED,))
                return await choose(self._plumbing, mirror, url, base, head)
        finally:
            if asking is not None:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

    async def ensure(self, mirror: Path, url: CloneUrl) -> None:
        """Make the mirror where it is missing. The caller holds its lock."""
        note_use(mirror)
        if not _exists(mirror):
            await self._make(mirror, url, ())

    async def fetch(self, mirror: Path, url: CloneUrl, refspecs: Sequence[str]) -> None:
        """Fetch `refspecs` from the origin. The caller holds the lock. Raises what `failures.failure` makes of git's words."""
        finished = await self._fetch(mirror, url, refspecs)
        stale = _LOCKED.search(finished.errors) if finished.code else None
        if stale is not None and _remove_stale(Path(stale["file"])):
            finished = await self._fetch(mirror, url, refspecs)
        if finished.code:
            raise failure(url, finished.errors)

    async def _refresh(self, mirror: Path, url: CloneUrl, extra: Sequence[str], asked_at: float) -> None:
        # Whoever waited for the lock while another task fetched, finds what it came for.
        if not extra and self._fetched.get(mirror, 0.0) > asked_at and _exists(mirror):
            return
        began = time.monotonic()
        if _exists(mirror):
            await self.fetch(mirror, url, (*_REFSPECS, *extra))
        else:
            await self._make(mirror, url, extra)
        self._fetched[mirror] = began

    async def _make(self, mirror: Path, url: CloneUrl, extra: Sequence[str]) -> None:
        making = beside(mirror, ".making")
        try:
            finished = await self._first_fetch(making, url, (*_REFSPECS, *extra))
            if finished.code:
                raise failure(url, finished.errors)
            if len(await self._plumbing.refs(making)) > _MANY_REFS:
                await self._plumbing.read(making, "pack-refs", "--all")
            _put_in_place(making, mirror)
        except OSError as error:
            raise UnavailableError(f"The mirror of {url.clean} could not be written: {error.strerror}.") from error
        finally:
            await asyncio.to_thread(shutil.rmtree, making, ignore_errors=True)

    async def _first_fetch(self, making: Path, url: CloneUrl, refspecs: Sequence[str]) -> git.Finished:
        """Fetch everything. The origin's hash function shows only once it is spoken to: SHA-1, but for a few."""
        await asyncio.to_thread(shutil.rmtree, making, ignore_errors=True)
        skeletons.write_bare(making, object_format="sha1")
        finished = await self._fetch(making, url, refspecs)
        if finished.code and "mismatched algorithms" in finished.errors:
            shutil.rmtree(making)
            skeletons.write_bare(making, object_format="sha256")
            finished = await self._fetch(making, url, refspecs)
        return finished

    async def _fetch(self, mirror: Path, url: CloneUrl, refspecs: Sequence[str]) -> git.Finished:
        try:
            return await self._origins.fetch(mirror, url, refspecs)
        except BaseException:
            _sweep(mirror)
            raise


def beside(mirror: Path, suffix: str) -> Path:
    """A place near a mirror, outside of the folder that sandboxes see: what lies there they can neither read nor lock."""
    return mirror.parent.with_suffix(suffix)


def note_use(mirror: Path) -> None:
    """Have the time of a mirror's lock say when it was last used. The caller holds the lock."""
    beside(mirror, ".lock").touch(mode=0o600)


def _put_in_place(making: Path, mirror: Path) -> None:
    mirror.parent.mkdir(parents=True, exist_ok=True)
    mirror.parent.chmod(0o755)  # any sandbox account reads it, where it is mounted
    making.rename(mirror)


def _extra(base: str | None) -> tuple[str, ...]:
    """The refspec for a ref that is neither a branch nor a tag."""
    if base is None or base.startswith(("refs/heads/", TAGS)):
        return ()
    return (f"+{base}:{ASKED}{base.removeprefix('refs/')}",)


def _exists(mirror: Path) -> bool:
    return mirror.exists()


def _remove_stale(lock: Path) -> bool:
    """Remove a lock file that a crash of the machine has left; a young one may belong to a git that still runs."""
    try:
        stale = time.time() - lock.stat().st_mtime > _STALE_LOCK_SECONDS
        if stale:
            lock.unlink()
    except OSError:
        return False
    return stale


def _sweep(mirror: Path) -> None:
    """Remove what a git that was ended may have left. Its process group is gone, and the mirror's lock is held."""
    temporary = [*mirror.glob("objects/pack/tmp_*"), *mirror.glob("objects/??/tmp_obj_*")]
    for leftover in [*temporary, *mirror.glob("*.lock"), *mirror.glob("refs/**/*.lock")]:
        with suppress(OSError):
            leftover.unlink()
