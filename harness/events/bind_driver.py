"""BindDriver: an administrator gives a card its driver back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._beliefs import GONE
from harness.events._requests import driver_path, write_file
from harness.events._targets import card_afus
from harness.vocab.event import NEMESIS, Chooser, Event, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class BindDriver(Event):
    """Bind the cxl driver to `card`."""

    role: ClassVar[Role] = Role.CONTROL
    weight: ClassVar[int] = 20

    card: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Cards without a driver."""
        return [
            (NEMESIS, name.removeprefix(GONE))
            for name, value in sketch.settings
            if value and name.startswith(GONE)
        ]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls(target[1])

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write."""
        card = topology.card(self.card)
        return write_file(driver_path(card, "bind"), card.bdf or card.device)

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """The card has its driver."""
        return sketch.with_setting(GONE + self.card, "")

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All AFUs of the card."""
        return card_afus(topology, self.card)
