"""UnbindDriver: an administrator takes the driver away from a card, and with it all its contexts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._beliefs import GONE
from harness.events._requests import driver_path, write_file
from harness.events._targets import card_afus, takeable_cards
from harness.vocab.event import Chooser, Event, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class UnbindDriver(Event):
    """Unbind the cxl driver from `card`."""

    role: ClassVar[Role] = Role.CONTROL
    weight: ClassVar[int] = 2

    card: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Cards that have their driver, where it is known by which name."""
        return [
            (nemesis, name)
            for nemesis, name in takeable_cards(sketch, topology)
            if topology.card(name).bdf or topology.card(name).device
        ]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls(target[1])

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write."""
        card = topology.card(self.card)
        return write_file(driver_path(card, "unbind"), card.bdf or card.device)

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """The card has no driver."""
        return sketch.with_setting(GONE + self.card, "1")

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All AFUs of the card."""
        return card_afus(topology, self.card)
