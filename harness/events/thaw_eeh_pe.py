"""ThawEehPe: somebody thaws a frozen EEH PE behind the back of its drivers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.events._requests import pci_path, write_file
from harness.events._targets import OnCard, eeh_pe_afus
from harness.vocab.event import Role
from harness.vocab.request import Request
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class ThawEehPe(OnCard):
    """Write to the EEH PE's state, which thaws it if EEH knows it as frozen; a healthy one is left alone."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.CONTROL
    weight: ClassVar[int] = 3

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write; the kernel does not look at the text."""
        return write_file(pci_path(topology.card(self.card), "eeh_pe_state"), "1")

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All AFUs in the EEH PE."""
        return eeh_pe_afus(topology, self.card)
