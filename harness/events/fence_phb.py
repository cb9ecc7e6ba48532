"""FencePhb: a PHB is fenced, which cuts off all that is below it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.events._requests import phb_path, write_file
from harness.events._targets import OnCard, phb_afus
from harness.vocab.event import Fate, Role
from harness.vocab.request import Request
from harness.vocab.topology import Platform, Topology

_FENCE = "0x8000000000000000"


@dataclass(frozen=True)
class FencePhb(OnCard):
    """Fence the PHB above `card`."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.ERROR
    fate: ClassVar[Fate] = Fate.RECOVERY
    needs: ClassVar[frozenset[str]] = frozenset({"debugfs"})
    weight: ClassVar[int] = 15

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write."""
        return write_file(phb_path(topology.card(self.card), "err_injct_outbound"), _FENCE)

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All AFUs below the PHB."""
        return phb_afus(topology, self.card)
