"""Errors of HTTP itself, which no operation knows: a body that cannot be read, a method or a media type that is not served."""

from hedgerow.domain.errors import HedgerowError


class MalformedError(HedgerowError):
    """The body could not be read."""

    code = "malformed"


class BodyTooLargeError(HedgerowError):
    """The body is larger than this endpoint takes."""

    code = "too_large"


class BodyTooSlowError(HedgerowError):
    """The body comes too slowly, or has stopped coming."""

    code = "too_slow"


class MethodNotAllowedError(HedgerowError):
    """This method is not allowed here."""

    code = "method_not_allowed"


class NotAcceptableError(HedgerowError):
    """The Accept header leaves no form in which this could be answered."""

    code = "not_acceptable"


class UnsupportedMediaTypeError(HedgerowError):
    """The body's media type is not one that this API reads."""

    code = "unsupported_media_type"


class UnreachableError(HedgerowError):
    """The agent behind a command did not answer, or refused. `late`: it took too long (contract 9.3)."""

    code = "unreachable"

    def __init__(self, message: str, *, late: bool = False) -> None:
        super().__init__(message)
        self.late = late
