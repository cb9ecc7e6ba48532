"""FreezeDevice: the EEH PE of a PCI device without CAPI freezes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._devices import OnDevice, claim, write_numbered
from harness.events._requests import EEH_DEBUGFS, inject, one_of
from harness.vocab.event import Chooser, Fate, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology

NOW = "now"
CONSOLE = "hardware-console"
# Function numbers of the firmware: a load or a store of memory, and a read by DMA.
_FUNCTIONS = {"load": 0, "store": 6, "dma": 12}


@dataclass(frozen=True)
class FreezeDevice(OnDevice):
    """Freeze at once, which needs a console; or arm what the next `access` by the driver or the device sets off."""

    role: ClassVar[Role] = Role.ERROR
    fate: ClassVar[Fate] = Fate.HIDDEN
    needs: ClassVar[frozenset[str]] = frozenset({"debugfs"})
    weight: ClassVar[int] = 20

    access: str = field(metadata=one_of(NOW, *_FUNCTIONS))

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """At once where that is possible: an emulated PHB does not know injections by the firmware."""
        return cls(target[1], NOW if CONSOLE in topology.features else choose.pick(tuple(_FUNCTIONS)))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """A claim, and an order to the console, or a write as the kernel's parser wants it."""
        device = topology.device(self.device)
        if self.access == NOW:
            return claim(device), inject("freeze_eeh_pe", device=device.bdf)
        path = f"{EEH_DEBUGFS}/PCI{device.phb:04x}/err_injct"
        return claim(device), write_numbered(device, path, f"{{eeh_pe}}:1:{_FUNCTIONS[self.access]:x}:0:0\n")
