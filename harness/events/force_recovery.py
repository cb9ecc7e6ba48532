"""ForceRecovery: an administrator makes EEH recover a card that may be healthy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._requests import EEH_DEBUGFS, write_file
from harness.events._targets import cards_of, eeh_pe_afus
from harness.vocab.event import Chooser, Event, Fate, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class ForceRecovery(Event):
    """Ask the EEH core to recover the EEH PE of `card` without an error."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.CONTROL
    # A recovery without an error: it may be seen, and nothing has to be detected first.
    fate: ClassVar[Fate] = Fate.HIDDEN
    needs: ClassVar[frozenset[str]] = frozenset({"debugfs"})
    weight: ClassVar[int] = 8

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
        """One write, with the end of line that the kernel's parser needs to find the end of the number."""
        card = topology.card(self.card)
        return write_file(f"{EEH_DEBUGFS}/eeh_force_recover", f"{card.phb:x}:{card.eeh_pe:x}\n")

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All AFUs in the EEH PE."""
        return eeh_pe_afus(topology, self.card)
