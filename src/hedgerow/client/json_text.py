"""Reads JSON as freely as hedgerow keeps it."""

from typing import Any

import orjson

from hedgerow.domain.journal import integer


def read_json(text: bytes | str) -> Any:
    """What a JSON text says; lone surrogates and numbers of any size, which the fast parser refuses, included. Raises ValueError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        import json

        return json.loads(text, parse_int=integer)
