"""What hedgerow speaks to beside agents and git hosts: one file per service."""

from collections.abc import Mapping

from hedgerow.integrations.base import MessengerMaker
from hedgerow.integrations.memory import MemoryMessenger
from hedgerow.integrations.slack import SlackMessenger

MESSENGERS: Mapping[str, MessengerMaker] = {
    "memory": MemoryMessenger,
    "slack": SlackMessenger,
}
