"""Every error that an operation may raise on purpose: a machine code and a sentence for people.

`api/errors.py` alone knows which HTTP status belongs to which code. Anything that is not a `HedgerowError` is a bug.
"""

import errno
from typing import ClassVar


class HedgerowError(Exception):
    """Something went wrong in a way that the caller can understand."""

    code: ClassVar[str] = "error"
    passing: bool = False  # whether the same may well work a moment later

    def __init__(self, message: str = "", *, attr: str | None = None, detail_code: str | None = None) -> None:
        """`message` is shown to people; `attr` names the field at fault; `detail_code` refines `code` for machines."""
        self.message = message or (self.__doc__ or "").strip()
        self.attr = attr
        self.detail_code = detail_code
        super().__init__(self.message)


class NotFoundError(HedgerowError):
    """Not found."""

    code = "not_found"


class MissingArtifactError(NotFoundError):
    """There is no such artifact here (error family E2)."""


class InvalidError(HedgerowError):
    """The request does not make sense as it stands. `detail_code` is one of the validation codes of contract 1.4."""

    code = "invalid"


class RefusedError(HedgerowError):
    """A rule of the product forbids this now, although the request is well formed (error family E2 or E3).

    `family` says which body the door writes: "error" or "detail". `missing_artifact_ids` is given where ids were unknown.
    """

    code = "refused"

    def __init__(self, message: str, *, family: str = "error", missing_artifact_ids: list[str] | None = None) -> None:
        super().__init__(message)
        self.family = family
        self.missing_artifact_ids = missing_artifact_ids


class ConflictError(HedgerowError):
    """The same thing was done differently before."""

    code = "conflict"


class UnauthenticatedError(HedgerowError):
    """Authentication credentials were not provided."""

    code = "unauthenticated"


class ForbiddenError(HedgerowError):
    """You may not do this."""

    code = "forbidden"


class LimitExceededError(HedgerowError):
    """A limit that the operator has set was reached."""

    code = "limit_exceeded"

    def __init__(self, message: str = "", *, retry_after_seconds: int | None = None) -> None:
        """`retry_after_seconds`: when it makes sense to try again, where that is known."""
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class UnavailableError(HedgerowError):
    """Something that hedgerow depends on did not answer, or cannot work on this machine."""

    code = "unavailable"


class PassingError(UnavailableError):
    """Something that hedgerow depends on did not answer, or lacked something, and may well do better a moment later."""

    passing = True


class TimedOutError(PassingError):
    """Something that hedgerow depends on did not answer in time."""

    code = "timed_out"


_LACKS = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EINTR, errno.EBUSY})


def unavailable(message: str, cause: OSError) -> UnavailableError:
    """The error that a refusal of the system amounts to: a passing one where it lacked memory, processes or open files just then."""
    return PassingError(message) if cause.errno in _LACKS else UnavailableError(message)
