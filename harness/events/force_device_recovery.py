"""ForceDeviceRecovery: an administrator makes EEH recover a PCI device that may be healthy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.events._devices import OnDevice, claim, write_numbered
from harness.events._requests import EEH_DEBUGFS
from harness.vocab.event import Fate, Role
from harness.vocab.request import Request
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class ForceDeviceRecovery(OnDevice):
    """Ask the EEH core to recover the EEH PE of `device`."""

    role: ClassVar[Role] = Role.CONTROL
    fate: ClassVar[Fate] = Fate.HIDDEN
    needs: ClassVar[frozenset[str]] = frozenset({"debugfs"})
    weight: ClassVar[int] = 5

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """A claim and a write, with the end of line that the kernel's parser needs."""
        device = topology.device(self.device)
        path = f"{EEH_DEBUGFS}/eeh_force_recover"
        return claim(device), write_numbered(device, path, f"{device.phb:x}:{{eeh_pe}}\n")
