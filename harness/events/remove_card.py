"""RemoveCard: an administrator removes a card from the system, as before it is pulled out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from harness.events._beliefs import REMOVED
from harness.events._requests import pci_path, write_file
from harness.events._targets import OnCard, takeable_cards
from harness.vocab.event import Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class RemoveCard(OnCard):
    """Write to the ``remove`` file of the PCI device that `card` is, and take all its contexts away."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.CONTROL
    weight: ClassVar[int] = 2

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Cards that have their driver."""
        return takeable_cards(sketch, topology)

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write."""
        return write_file(pci_path(topology.card(self.card), "remove"), "1")

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """It is away until the bus is scanned."""
        return sketch.with_setting(REMOVED + self.card, "1")
