"""How an operation tells a field that was left out from one that was set to null."""

from enum import Enum
from typing import Final


class Unset(Enum):
    """The type of `UNSET`."""

    TOKEN = "unset"  # noqa: S105 - a marker, no secret


UNSET: Final = Unset.TOKEN
