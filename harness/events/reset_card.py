"""ResetCard: an administrator resets a card, politely or by force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._requests import cxl_path, write_file
from harness.events._targets import OnCard
from harness.vocab.event import Chooser, Fate, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class ResetCard(OnCard):
    """Write to the reset file of `card`: 1 is refused while contexts are attached, -1 never."""

    role: ClassVar[Role] = Role.CONTROL
    # On bare metal EEH may notice the reset and recover; on PowerVM the driver does it all by itself.
    fate: ClassVar[Fate] = Fate.HIDDEN
    weight: ClassVar[int] = 8

    forced: bool

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Mostly forced: the other form is refused as long as a context is attached."""
        return cls(target[1], choose.chance(60))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write."""
        return write_file(cxl_path(self.card, "reset"), "-1" if self.forced else "1")
