"""One figure of a benchmark: what was measured, the limit that it is held to, and what the two sides were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A measured value and its limit. `is_at_least` says on which side of the limit good values lie."""

    name: str
    value: float
    limit: float
    sides: str
    is_at_least: bool = True

    @property
    def is_met(self) -> bool:
        return self.value >= self.limit if self.is_at_least else self.value <= self.limit

    @property
    def row(self) -> str:
        sign = "≥" if self.is_at_least else "≤"
        mark = "yes" if self.is_met else "NO"
        return f"| {self.name} | {self.value:.3g} | {sign} {self.limit:g} | {mark} | {self.sides} |"


HEAD = "| figure | measured | limit | met | both sides |\n|---|---:|---:|---|---|"


def median(values: Sequence[float]) -> float:
    """The middle value; the mean of the two middle ones of an even number."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def in_turn(
    first: Callable[[], float], second: Callable[[], float], rounds: int
) -> tuple[float, float, float]:
    """Measure two things in turn; gives the median of each, and the median of the ratios first / second.

    In turn, because a machine that others use too is now fast and now slow.
    """
    pairs = [(first(), second()) for _ in range(rounds)]
    ratio = median([one / other for one, other in pairs])
    return median([one for one, _ in pairs]), median([other for _, other in pairs]), ratio
