"""ReadConfigSpace: a card's PCI configuration is read, by which the kernel notices a frozen EEH PE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._requests import pci_path
from harness.events._targets import actors_with
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class ReadConfigSpace(Event):
    """Read the PCI configuration space of `card`."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    weight: ClassVar[int] = 8

    card: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any actor, on any card."""
        return actors_with(sketch, [card.name for card in topology.cards])

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls(target[1])

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One read of a file."""
        return (Request(Verb.READ_FILE, {"path": pci_path(topology.card(self.card), "config")}),)
