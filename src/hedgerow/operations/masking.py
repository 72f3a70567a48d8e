"""Known secrets never reach a journal."""

import json

MASK = "[masked]"

_SHORTEST = 6  # anything shorter would be found by chance inside ordinary words


def mask(text: str, secrets: tuple[bytes, ...]) -> str:
    """A JSON text with every known secret replaced, however JSON has escaped it."""
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            for form in _forms(secret.decode("utf-8", "replace")):
                text = text.replace(form, MASK)
    return text


def _forms(secret: str) -> set[str]:
    """How a secret may stand inside a JSON string."""
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return escaped | {form.replace("/", "\\/") for form in escaped}
