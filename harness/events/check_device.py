"""CheckDevice: somebody asks EEH to look whether a card is frozen; a healthy one must not be recovered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.events._requests import EEH_DEBUGFS, write_file
from harness.events._targets import OnCard
from harness.vocab.event import Role
from harness.vocab.request import Request
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class CheckDevice(OnCard):
    """Make EEH read the state of `card`."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.CONTROL
    needs: ClassVar[frozenset[str]] = frozenset({"debugfs"})
    weight: ClassVar[int] = 6

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write."""
        return write_file(f"{EEH_DEBUGFS}/eeh_dev_check", topology.card(self.card).bdf)

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """Looking disturbs nobody."""
        return frozenset()
