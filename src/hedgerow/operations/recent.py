"""Answers of a moment ago, for questions that every request asks."""

import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Question = TypeVar("Question", bound=Hashable)
Answer = TypeVar("Answer")

_SECONDS = 1.0  # how long a key or a membership that was taken away still counts
_MOST = 10_000


@dataclass(slots=True)
class Recent(Generic[Question, Answer]):
    """What was found within the last second. What was not found is not remembered."""

    _found: dict[Question, tuple[float, Answer]] = field(default_factory=dict, repr=False)

    def get(self, question: Question) -> Answer | None:
        """The answer, where it is recent."""
        found = self._found.get(question)
        return None if found is None or found[0] < time.monotonic() else found[1]

    def put(self, question: Question, answer: Answer) -> None:
        """Remember an answer for a moment."""
        if len(self._found) >= _MOST:
            self._found.clear()
        self._found[question] = (time.monotonic() + _SECONDS, answer)

    def forget(self) -> None:
        """Remember nothing any more: something was taken away."""
        self._found.clear()
