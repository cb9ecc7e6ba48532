"""How cases are to be drawn: how many steps and errors, how much overlap, how often each event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.vocab.errors import Problem, UsageError
from harness.vocab.topology import Subject


@dataclass(frozen=True)
class DrawRules:
    """Bounds and weights for drawing.

    `steps` bounds the free steps of a case: those between its set-up and its end that are no errors. (A wait
    that would be in vain is left out even when that makes too few, and what is set up for an error or a reset
    to hit comes on top.) `errors` bounds the ERROR events.
    `overlap_percent` of the steps wait for a phase of recovery or for a moment. `weights` overrides the
    weights of events by class name; 0 leaves an event out. `subject` is what the cases
    are about. Raises UsageError with all problems.
    """

    steps: tuple[int, int] = (4, 24)
    errors: tuple[int, int] = (1, 3)
    overlap_percent: int = 40
    weights: Mapping[str, int] = field(default_factory=dict, hash=False)
    subject: Subject = Subject.CARDS

    def __post_init__(self) -> None:
        if problems := self._problems():
            raise UsageError(problems)

    def _problems(self) -> list[Problem]:
        found = []
        for name, least in (("steps", 1), ("errors", 0)):
            low, high = getattr(self, name)
            if not least <= low <= high:
                found.append(Problem(f"[{low}, {high}]", f"draw.{name}", f"[fewest, most], from {least} on"))
        if not 0 <= self.overlap_percent <= 100:
            found.append(Problem(f"{self.overlap_percent} percent", "draw.overlap", "0 to 100"))
        for name, weight in self.weights.items():
            if weight < 0:
                found.append(Problem(f"{weight}", f"draw.weights.{name}", "0 or more; 0 leaves it out"))
        return found
