"""ResetSilently: PHYP resets a card and tells nobody."""

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
class ResetSilently(Event):
    """Let PHYP reset `card` without a notification."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERVM})
    role: ClassVar[Role] = Role.ERROR
    fate: ClassVar[Fate] = Fate.HIDDEN
    needs: ClassVar[frozenset[str]] = frozenset({"phyp-console"})
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
        return (inject("phyp_silent_reset", card=self.card),)

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All AFUs of the card."""
        return card_afus(topology, self.card)
