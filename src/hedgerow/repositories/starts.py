"""Where a run begins: the commit of a mirror that a base means."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hedgerow.domain.errors import InvalidError
from hedgerow.repositories.origins import Head
from hedgerow.repositories.plumbing import Plumbing
from hedgerow.repositories.urls import CloneUrl

BRANCHES = "refs/remotes/origin/"
TAGS = "refs/tags/"
ASKED = "refs/hedgerow/asked/"
_HEADS = "refs/heads/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A commit to begin at, and the branches and tags that the mirror holds of the origin."""

    commit: str
    branch: str | None  # the branch that the commit is the end of; None for any other ref, and for a detached HEAD
    default_branch: str | None  # the origin's own, where it was asked for
    refs: Mapping[str, str]


async def choose(plumbing: Plumbing, mirror: Path, url: CloneUrl, base: str | None, head: Head | None) -> Start:
    """The start that the full ref `base` means, or else the origin's `head`. Raises InvalidError where there is none."""
    refs = await plumbing.refs(mirror, BRANCHES, TAGS, _HEADS, ASKED)
    shown = {ref: name for ref, name in refs.items() if ref.startswith((BRANCHES, TAGS))}
    if base is None and head is not None and head.ref is None and head.commit is not None:
        return Start(commit=head.commit, branch=None, default_branch=None, refs=shown)
    wanted = base or (head.ref if head is not None else None)
    found = next((place for place in _places(wanted) if place in refs), None) if wanted is not None else None
    if wanted is None or found is None:
        raise _missing(url, base, wanted, empty=not shown)
    commit = refs[found] if wanted.startswith(_HEADS) else await _peeled(plumbing, mirror, url, wanted, refs[found])
    default = _branch(head.ref) if head is not None and head.ref is not None else None
    return Start(commit=commit, branch=_branch(wanted), default_branch=default, refs=shown)


async def _peeled(plumbing: Plumbing, mirror: Path, url: CloneUrl, ref: str, name: str) -> str:
    """The commit that an object is, or that an annotated tag points at."""
    finished = await plumbing.run(mirror, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if finished.code:
        raise InvalidError(f"{ref} in {url.clean} does not name a commit.", attr="branch")
    return finished.output.strip()


def _branch(ref: str) -> str | None:
    return ref.removeprefix(_HEADS) if ref.startswith(_HEADS) else None


def _places(ref: str) -> tuple[str, ...]:
    """Where a mirror may hold the origin's `ref`: a branch as the origin has it, else as a run left it that could not be pushed."""
    if ref.startswith(_HEADS):
        return BRANCHES + ref.removeprefix(_HEADS), ref
    return (ref,) if ref.startswith(TAGS) else (ASKED + ref.removeprefix("refs/"),)


def _missing(url: CloneUrl, base: str | None, wanted: str | None, *, empty: bool) -> InvalidError:
    if empty:
        return InvalidError(f"The repository {url.clean} is empty: it has no commit to start from.", attr="repository")
    if base is not None:
        kind = "branch" if base.startswith(_HEADS) else "ref"
        return InvalidError(f"There is no {kind} {base.removeprefix(_HEADS)} in {url.clean}.", attr="branch")
    default = f"branch {_branch(wanted) or wanted}" if wanted is not None else "branch"
    return InvalidError(f"The default {default} of {url.clean} has no commit: name another branch to start from.", attr="branch")
