"""ThawEehPe: somebody thaws a frozen EEH PE behind the back of its drivers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._requests import pci_path, write_file
from harness.events._targets import cards_of, eeh_pe_afus
from harness.vocab.event import Chooser, Event, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class ThawEehPe(Event):
    """Write to the EEH PE's state, which thaws it if EEH knows it as frozen; a healthy one is left alone."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.CONTROL
    weight: ClassVar[int] = 3

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
        """One write; the kernel does not look at the text."""
        return write_file(pci_path(topology.card(self.card), "eeh_pe_state"), "1")

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All AFUs in the EEH PE."""
        return eeh_pe_afus(topology, self.card)
