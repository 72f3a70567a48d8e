"""From pydantic's errors to the codes of the contract: the first error only, its place joined with `__` (contract 1.4)."""

from collections.abc import Mapping, Sequence
from typing import Any

from hedgerow.domain.errors import InvalidError

_PLACES = ("body", "query", "path", "header")

_CODES: dict[str, str] = {
    "missing": "required",
    "enum": "invalid_choice",
    "literal_error": "invalid_choice",
    "string_too_long": "max_length",
    "too_long": "max_length",
    "greater_than": "min_value",
    "greater_than_equal": "min_value",
    "less_than": "max_value",
    "less_than_equal": "max_value",
    "list_type": "not_a_list",
    "dict_type": "not_a_dict",
    "model_type": "not_a_dict",
    "model_attributes_type": "not_a_dict",
}

_SENTENCES: dict[str, str] = {
    "required": "This field is required.",
    "null": "This field may not be null.",
    "blank": "This field may not be blank.",
    "empty": "This list may not be empty.",
    "not_a_list": "This field must be a list.",
    "not_a_dict": "This field must be an object.",
}


def first_error(errors: Sequence[Mapping[str, Any]]) -> InvalidError:
    """The error that the API tells for what pydantic found: its first finding, in the order in which the fields are declared."""
    finding = errors[0]
    code = _code(finding)
    attr = "__".join(str(step) for step in _path(finding["loc"])) or None
    context = finding.get("ctx") or {}
    return InvalidError(_sentence(code, finding), attr=context.get("attr", attr), detail_code=code)


def _path(location: Sequence[str | int]) -> Sequence[str | int]:
    return location[1:] if location and location[0] in _PLACES else location


def _code(finding: Mapping[str, Any]) -> str:
    kind, given = finding["type"], finding.get("input")
    if kind == "contract":
        return str(finding["ctx"]["code"])
    if given is None and kind != "missing":
        return "null"
    if kind in {"string_too_short", "too_short"}:
        return "blank" if kind == "string_too_short" else "empty"
    return _CODES.get(kind, "invalid_input")


def _sentence(code: str, finding: Mapping[str, Any]) -> str:
    context = finding.get("ctx") or {}
    if code == "invalid_choice" and "expected" in context:
        return f"This is not a valid choice. It must be one of: {context['expected']}."
    if code == "max_length" and "max_length" in context:
        return f"This field may have at most {context['max_length']} {'entries' if finding['type'] == 'too_long' else 'characters'}."
    return _SENTENCES.get(code) or _ended(str(finding["msg"]))


def _ended(message: str) -> str:
    return message if message.endswith(".") else f"{message}."
