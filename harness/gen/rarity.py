"""What was seen seldom: counts of what earlier cases showed, handed to the generator to draw the rest.

The counts are of coverage: an event, performed in a phase of recovery, on a context in some state. The
generator only compares; without counts it draws by its own weights alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.vocab.coverage import Covered
from harness.vocab.event import Event


@dataclass(frozen=True)
class Rarity:
    """In how many cases an event was performed, and an event in a phase."""

    events: Mapping[str, int] = field(default_factory=dict, hash=False)
    moments: Mapping[tuple[str, str], int] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, covered: Mapping[Covered, int]) -> Rarity:
        """What `covered`, the cases that showed each, comes to."""
        events: Counter[str] = Counter()
        moments: Counter[tuple[str, str]] = Counter()
        for item, count in covered.items():
            events[item.event] += count
            moments[item.event, item.phase] += count
        return cls(events, moments)

    def __bool__(self) -> bool:
        return bool(self.events)

    def of_event(self, cls: type[Event]) -> int:
        """In how many cases events of `cls` were performed."""
        return self.events.get(cls.__name__, 0)

    def of_moment(self, cls: type[Event], phase: str) -> int:
        """In how many cases events of `cls` were performed in `phase`."""
        return self.moments.get((cls.__name__, phase), 0)


NOTHING_SEEN = Rarity()
