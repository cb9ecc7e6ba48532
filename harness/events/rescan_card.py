"""RescanCard: an administrator has the PCI buses scanned, so that a card that was removed is found again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from harness.events._beliefs import REMOVED
from harness.events._devices import PCI_RESCAN
from harness.events._requests import write_file
from harness.events._targets import OnCard
from harness.vocab.event import NEMESIS, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class RescanCard(OnCard):
    """Write to the ``rescan`` file of the PCI bus, for the sake of `card`."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.CONTROL
    weight: ClassVar[int] = 20

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Cards that were removed."""
        return [
            (NEMESIS, name.removeprefix(REMOVED))
            for name, value in sketch.settings
            if value and name.startswith(REMOVED)
        ]

    def fits(self, sketch: Sketch) -> bool:
        """A card that is there gets no driver by a scan."""
        return bool(sketch.setting(REMOVED + self.card))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write."""
        return write_file(PCI_RESCAN, "1")

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """All cards are there."""
        return sketch.without(REMOVED)

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """The AFUs of all cards: whatever was removed is found."""
        return frozenset(afu.name for afu in topology.afus)
