"""FencePhb: a PHB is fenced, which cuts off all that is below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._requests import phb_path, write_file
from harness.events._targets import cards_of, phb_afus
from harness.vocab.event import Chooser, Event, Fate, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology

_FENCE = "0x8000000000000000"


@dataclass(frozen=True)
class FencePhb(Event):
    """Fence the PHB above `card`."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.ERROR
    fate: ClassVar[Fate] = Fate.RECOVERY
    needs: ClassVar[frozenset[str]] = frozenset({"debugfs"})
    weight: ClassVar[int] = 15

    card: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any card."""
        return cards_of(topology)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls(target[1])

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write."""
        return write_file(phb_path(topology.card(self.card), "err_injct_outbound"), _FENCE)

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All AFUs below the PHB."""
        return phb_afus(topology, self.card)
