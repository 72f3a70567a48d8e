"""Keeps secrets out of everything that leaves the agent server: the values are replaced before they reach the spool."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "***"
SHORTEST = 8

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH|COOKIE", re.IGNORECASE)
_PLACE_NAME = re.compile(r"(_URL|_URI|_HOST|_FILE|_PATH|_DIR|_HOME|_SOCK|_PORT|_PROXY)$", re.IGNORECASE)
_USER_INFO = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")


class Mask:
    """Replaces known secret values of eight characters or more, also where they stand inside JSON strings."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._values = sorted({secret for secret in secrets if len(secret) >= SHORTEST}, key=len, reverse=True)
        forms = {form for value in self._values for form in _forms(value)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, longest_first))) if forms else None

    def data(self, data: bytes) -> bytes:
        """`data` (JSON or plain text, in UTF-8) without the secrets."""
        return data if self._pattern is None else self._pattern.sub(MASK.encode(), data)

    def text(self, text: str) -> str:
        """`text` without the secrets."""
        if self._pattern is None:
            return text
        return self.data(text.encode(errors="surrogatepass")).decode(errors="surrogatepass")

    def unfinished(self, text: str) -> int:
        """How many characters at the end of `text` may be the beginning of a secret that goes on in what comes next."""
        longest = 0
        for value in self._values:
            for length in range(min(len(value) - 1, len(text)), longest, -1):
                if text.endswith(value[:length]):
                    longest = length
                    break
        return longest


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


def _forms(value: str) -> set[bytes]:
    escaped = {json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    texts = {value, *escaped, *(form.replace("/", "\\/") for form in escaped)}
    return {text.encode(errors="surrogatepass") for text in texts}
