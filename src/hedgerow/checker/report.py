"""What a checker says of a history."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Guarantee(StrEnum):
    """The guarantees, lettered as in docs/guarantees.md."""

    KEPT = "a"
    READ_ONCE = "b"
    DELIVERED_ONCE = "c"
    ENDS = "d"
    LEAVES_NOTHING = "e"
    ONE_EPOCH = "f"
    ONE_ANSWER = "g"

    @property
    def meaning(self) -> str:
        """The guarantee in a few words."""
        return _MEANINGS[self]


_MEANINGS = {
    Guarantee.KEPT: "what was accepted is kept",
    Guarantee.READ_ONCE: "each event is read once, in order, the same by all",
    Guarantee.DELIVERED_ONCE: "a message is delivered once, or failed with a reason",
    Guarantee.ENDS: "every run ends in time, with a reason, for good",
    Guarantee.LEAVES_NOTHING: "an ended run leaves nothing",
    Guarantee.ONE_EPOCH: "one epoch at a time",
    Guarantee.ONE_ANSWER: "a permission request is answered once",
}


class Verdict(StrEnum):
    """What a history says of a guarantee."""

    HELD = "held"  # whatever the history could show was as guaranteed
    REFUTED = "refuted"
    NOT_SHOWN = "not shown"  # the history holds nothing that this guarantee speaks of


@dataclass(frozen=True, slots=True)
class Finding:
    """A guarantee was broken: what happened, where, and the records that show it, counted from 1 in the history."""

    guarantee: Guarantee
    what: str
    run: str
    where: str
    evidence: tuple[int, ...]

    def __str__(self) -> str:
        records = ", ".join(map(str, self.evidence))
        return f"({self.guarantee}) {self.what}: {self.where} [run {self.run}; records {records}]"


@dataclass(frozen=True, slots=True)
class Report:
    """For each guarantee how many facts of the history it was held against, and all that broke one."""

    checks: Mapping[Guarantee, int]
    findings: tuple[Finding, ...]

    @property
    def held(self) -> bool:
        """Whether nothing was refuted."""
        return not self.findings

    def verdict(self, guarantee: Guarantee) -> Verdict:
        """What the history says of one guarantee."""
        if any(finding.guarantee is guarantee for finding in self.findings):
            return Verdict.REFUTED
        return Verdict.HELD if self.checks[guarantee] else Verdict.NOT_SHOWN

    def lines(self) -> Iterable[str]:
        """The report for people."""
        for guarantee in Guarantee:
            verdict, count = self.verdict(guarantee), self.checks[guarantee]
            yield f"({guarantee}) {guarantee.meaning}: {verdict}, {count} {'fact' if count == 1 else 'facts'} checked"
        for finding in self.findings:
            yield f"  {finding}"
