"""RecoverCapp: the CAPP recovers, and the link of its card is lost for a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._requests import inject
from harness.events._targets import card_afus, cards_of
from harness.vocab.event import Chooser, Event, Fate, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class RecoverCapp(Event):
    """Let the CAPP of `card` recover."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.ERROR
    fate: ClassVar[Fate] = Fate.RECOVERY
    needs: ClassVar[frozenset[str]] = frozenset({"hardware-console"})
    weight: ClassVar[int] = 10

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
        """One injection."""
        return (inject("capp_recovery", card=self.card),)

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All AFUs of the card."""
        return card_afus(topology, self.card)
