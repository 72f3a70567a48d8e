"""How a figure is shown: what was measured, the yardstick of the same run, their ratio, and the goal."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report."""

    name: str
    value: str
    yardstick: str
    ratio: str
    goal: str
    reached: bool


def show(figures: list[Figure]) -> str:
    """The figures as a table of Markdown."""
    rows = [f"| {f.name} | {f.value} | {f.yardstick} | {f.ratio} | {f.goal} | {'yes' if f.reached else 'no'} |" for f in figures]
    return "\n".join(["| what | measured | yardstick in the same run | ratio | goal | reached |", "|---|---|---|---|---|---|", *rows])


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
