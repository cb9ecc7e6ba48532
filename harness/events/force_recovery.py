"""ForceRecovery: an administrator makes EEH recover a card that may be healthy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.events._requests import EEH_DEBUGFS, write_file
from harness.events._targets import OnCard, eeh_pe_afus
from harness.vocab.event import Fate, Role
from harness.vocab.request import Request
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class ForceRecovery(OnCard):
    """Ask the EEH core to recover the EEH PE of `card` without an error."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.CONTROL
    # A recovery without an error: it may be seen, and nothing has to be detected first.
    fate: ClassVar[Fate] = Fate.HIDDEN
    needs: ClassVar[frozenset[str]] = frozenset({"debugfs"})
    weight: ClassVar[int] = 8

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write, with the end of line that the kernel's parser needs to find the end of the number."""
        card = topology.card(self.card)
        return write_file(f"{EEH_DEBUGFS}/eeh_force_recover", f"{card.phb:x}:{card.eeh_pe:x}\n")

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All AFUs in the EEH PE."""
        return eeh_pe_afus(topology, self.card)
