"""CheckPciDevice: somebody asks EEH to look whether a PCI device is frozen; a healthy one stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.events._devices import OnDevice
from harness.events._requests import EEH_DEBUGFS, write_file
from harness.vocab.event import Role
from harness.vocab.request import Request
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class CheckPciDevice(OnDevice):
    """Make EEH read the state of `device`."""

    role: ClassVar[Role] = Role.CONTROL
    needs: ClassVar[frozenset[str]] = frozenset({"debugfs"})
    weight: ClassVar[int] = 10

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write."""
        return write_file(f"{EEH_DEBUGFS}/eeh_dev_check", topology.device(self.device).bdf)

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """Looking disturbs nobody."""
        return frozenset()
