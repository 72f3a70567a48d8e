"""A command to the agent of a run: a JSON-RPC call that a client sends through the API (contract 9.1)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class CommandMethod(StrEnum):
    """What a client may ask of an agent."""

    USER_MESSAGE = "user_message"
    CANCEL = "cancel"
    CLOSE = "close"
    PERMISSION_RESPONSE = "permission_response"
    SET_CONFIG_OPTION = "set_config_option"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A checked command. `id` is the client's own, given back in the answer."""

    method: CommandMethod
    params: dict[str, Any]
    id: str | int | float | None = None
