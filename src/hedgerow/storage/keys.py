"""What a key of an object may be, in every store."""

from hedgerow.domain.errors import InvalidError

LONGEST_KEY_BYTES = 1024


def check_key(key: str) -> None:
    """Raise InvalidError for a key that no store takes: empty, too long, not storable as UTF-8, or not a plain relative path."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise InvalidError("The key of an object must be valid Unicode.", attr="key") from error
    if not 0 < size <= LONGEST_KEY_BYTES:
        raise InvalidError(f"The key of an object has 1 to {LONGEST_KEY_BYTES} bytes.", attr="key")
    if "\x00" in key or any(segment in {"", ".", ".."} for segment in key.split("/")):
        raise InvalidError("The key of an object is a relative path without empty parts, '.', '..' or null characters.", attr="key")
