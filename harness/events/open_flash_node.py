"""OpenFlashNode: somebody opens and closes the flash node of a card, upon which PHYP resets it in silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._targets import card_afus, cards_of
from harness.vocab.event import Chooser, Event, Fate, Role, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class OpenFlashNode(Event):
    """Open and close the node of `card` without a download."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERVM})
    role: ClassVar[Role] = Role.CONTROL
    # A silent reset by hand: nobody is told, and it may stay unnoticed.
    fate: ClassVar[Fate] = Fate.HIDDEN
    weight: ClassVar[int] = 5

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
        """One open and one close."""
        fd = f"{self.card}.flash"
        return (
            Request(Verb.OPEN, {"fd": fd, "path": f"/dev/cxl/{self.card}"}),
            Request(Verb.CLOSE, {"fd": fd}),
        )

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All AFUs of the card."""
        return card_afus(topology, self.card)
