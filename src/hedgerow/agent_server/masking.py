"""Which values of an agent's environment are secrets, told by the names of their variables."""

import json
import re
from collections.abc import Mapping
from typing import Any

from hedgerow.domain.masking import SHORTEST

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH|COOKIE", re.IGNORECASE)
_PLACE_NAME = re.compile(r"(_URL|_URI|_HOST|_FILE|_PATH|_DIR|_HOME|_SOCK|_PORT|_PROXY)$", re.IGNORECASE)
_USER_INFO = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")

_MOST_LINES = 200  # of one value; a key has a quarter of that


def secret_values(environment: Mapping[str, str]) -> list[str]:
    """The values of an agent's environment that nobody else may see, told by the names of their variables.

    A password inside a URL counts, and so does every longer string inside a value that is a JSON document of credentials.
    """
    found = []
    for name, value in environment.items():
        found += _USER_INFO.findall(value)
        if _SECRET_NAME.search(name) and not _PLACE_NAME.search(name):
            found += [value, value.strip(), *_leaves(value)]
    return found


def every_value(variables: Mapping[str, str]) -> list[str]:
    """The values of a project's own variables. They are stored as secrets, so each is one, whatever its variable is called.

    A value of several lines is one line by line as well: programs like to print them so.
    """
    found = []
    for value in variables.values():
        found += [value, value.strip(), *map(str.strip, value.splitlines()[:_MOST_LINES])]
    return found


def _leaves(value: str) -> list[str]:
    if not value.lstrip().startswith("{"):
        return []
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return []
    found: list[str] = []
    waiting: list[Any] = [document]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str) and len(item) >= 2 * SHORTEST:
            found.append(item)
        elif isinstance(item, dict | list):
            waiting.extend(item.values() if isinstance(item, dict) else item)
    return found
