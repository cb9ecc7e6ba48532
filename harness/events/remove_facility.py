"""RemoveFacility: PHYP takes an adapter away from the partition, and with it all its contexts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from harness.events._beliefs import TAKEN
from harness.events._requests import inject
from harness.events._targets import OnCard, takeable_cards
from harness.vocab.event import Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class RemoveFacility(OnCard):
    """Take `card` away from the partition."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERVM})
    role: ClassVar[Role] = Role.CONTROL
    needs: ClassVar[frozenset[str]] = frozenset({"facility-removal"})
    weight: ClassVar[int] = 2

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Cards that are there, with their driver."""
        return takeable_cards(sketch, topology)

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One injection."""
        return (inject("phyp_remove_facility", card=self.card),)

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """The card is not there."""
        return sketch.with_setting(TAKEN + self.card, "1")
