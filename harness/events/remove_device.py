"""RemoveDevice: an administrator removes a PCI device from the system, as before it is pulled out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.events._devices import AWAY, OnDevice, claim, device_path
from harness.events._requests import write_file
from harness.vocab.event import Role
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class RemoveDevice(OnDevice):
    """Write to the ``remove`` file of `device`."""

    role: ClassVar[Role] = Role.CONTROL
    weight: ClassVar[int] = 3

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """A claim and a write."""
        device = topology.device(self.device)
        return claim(device), *write_file(device_path(device, "remove"), "1")

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """It is away until the bus is scanned."""
        return sketch.with_setting(AWAY + self.device, "1")
