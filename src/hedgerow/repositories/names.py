"""Which names git takes for branches and refs (git-check-ref-format)."""

import re

from hedgerow.domain.errors import InvalidError

_BAD = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|//|@\{")
_HEADS = "refs/heads/"
_MAX_BYTES = 200  # a ref is a file: its name and `.lock` must fit into 255 bytes, most of all its last component


def is_ref_name(name: str) -> bool:
    """Whether git accepts `name`, which begins with refs/, as the full name of a ref."""
    parts = name.split("/")
    if len(parts) < 2 or parts[0] != "refs" or _BAD.search(name) or name.endswith(".") or len(name.encode(errors="replace")) > _MAX_BYTES:
        return False
    return all(part and not part.startswith(".") and not part.endswith(".lock") for part in parts)


def is_branch_name(name: str) -> bool:
    """Whether `name` can be the name of a branch."""
    return not name.startswith("-") and name not in {"HEAD", "@"} and is_ref_name(_HEADS + name)


def branch_name(text: str, *, attr: str = "branch") -> str:
    """The branch that `text` means: a name, or a full ref of a branch. Raises InvalidError where it is neither."""
    name = text.removeprefix(_HEADS)
    if not is_branch_name(name) or name.startswith("refs/"):
        raise InvalidError(f"{text[:200]!r} is not a valid name of a branch.", attr=attr)
    return name


def full_ref(text: str, *, attr: str = "branch") -> str:
    """The full ref that `text` means: itself where it begins with refs/, else that of the branch of that name."""
    if not text.startswith("refs/"):
        return _HEADS + branch_name(text, attr=attr)
    if not is_ref_name(text) or text.count("/") < 2:
        raise InvalidError(f"{text[:200]!r} is not a valid ref.", attr=attr)
    return text
