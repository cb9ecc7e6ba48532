"""CheckDevice: somebody asks EEH to look whether a card is frozen; a healthy one must not be recovered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._requests import EEH_DEBUGFS, write_file
from harness.events._targets import cards_of
from harness.vocab.event import Chooser, Event, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class CheckDevice(Event):
    """Make EEH read the state of `card`."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.CONTROL
    needs: ClassVar[frozenset[str]] = frozenset({"debugfs"})
    weight: ClassVar[int] = 6

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
        return write_file(f"{EEH_DEBUGFS}/eeh_dev_check", topology.card(self.card).bdf)
