"""RaiseTransientError: an AFU is unavailable for a while and comes back by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._requests import between, inject
from harness.events._targets import OnAfu
from harness.vocab.event import Chooser, Fate, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class RaiseTransientError(OnAfu):
    """Make `afu` unavailable for `for_ms`; when that is short, no poll sees it."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERVM})
    role: ClassVar[Role] = Role.ERROR
    fate: ClassVar[Fate] = Fate.HIDDEN
    needs: ClassVar[frozenset[str]] = frozenset({"phyp-console"})
    weight: ClassVar[int] = 12

    for_ms: int = field(metadata=between(1, 600_000))

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Far below, just around, and above the period of the driver's check."""
        period_ms = max(topology.poll_period_ms, 2)
        return cls(
            target[1],
            choose.pick((period_ms + 500, 2 * period_ms, 1, 100, period_ms // 2, period_ms - 1, period_ms)),
        )

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One injection."""
        return (inject("phyp_error", afu=self.afu, severity="transient", for_ms=self.for_ms),)
