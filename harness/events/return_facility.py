"""ReturnFacility: PHYP gives an adapter back to the partition, and the driver finds it anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from harness.events._beliefs import TAKEN
from harness.events._requests import inject
from harness.events._targets import OnCard
from harness.vocab.event import NEMESIS, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class ReturnFacility(OnCard):
    """Give `card` back to the partition."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERVM})
    role: ClassVar[Role] = Role.CONTROL
    needs: ClassVar[frozenset[str]] = frozenset({"facility-removal"})
    weight: ClassVar[int] = 20

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Cards that were taken away."""
        return [
            (NEMESIS, name.removeprefix(TAKEN))
            for name, value in sketch.settings
            if value and name.startswith(TAKEN)
        ]

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One injection."""
        return (inject("phyp_return_facility", card=self.card),)

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """The card is there."""
        return sketch.with_setting(TAKEN + self.card, "")
