"""Keeps secrets out of what is written down: known values are replaced, however they stand there."""

import json
import re
from collections.abc import Iterable

MASK = "***"
SHORTEST = 8  # what is shorter would be found by chance inside ordinary words


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


def _forms(value: str) -> set[bytes]:
    escaped = {json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    texts = {value, *escaped, *(form.replace("/", "\\/") for form in escaped)}
    return {text.encode(errors="surrogatepass") for text in texts}
