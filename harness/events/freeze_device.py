"""FreezeDevice: the EEH PE of a PCI device without CAPI freezes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._devices import OnDevice, claim, device_path, write_numbered
from harness.events._requests import EEH_DEBUGFS, inject, one_of
from harness.vocab.event import Chooser, Fate, Role, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology

NOW = "now"
CONSOLE = "hardware-console"
CONFIG = "config"
CONFIG_ONLY = "config-injection"
"""The feature of a host whose firmware injects into configuration cycles only, as skiboot does on POWER9."""
# Function numbers of the firmware: a configuration read, a load or a store of memory, and a read by DMA.
_FUNCTIONS = {CONFIG: 4, "load": 0, "store": 6, "dma": 12}


@dataclass(frozen=True)
class FreezeDevice(OnDevice):
    """Freeze at once, which needs a console; or arm what the next `access` sets off.

    A configuration read is made at once, too. Others are left to the driver and the device.
    """

    role: ClassVar[Role] = Role.ERROR
    fate: ClassVar[Fate] = Fate.HIDDEN
    needs: ClassVar[frozenset[str]] = frozenset({"debugfs"})
    weight: ClassVar[int] = 20

    access: str = field(metadata=one_of(NOW, *_FUNCTIONS))

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """What the host can do; a console comes first, because it needs no access."""
        if CONSOLE in topology.features:
            return cls(target[1], NOW)
        return cls(target[1], CONFIG if CONFIG_ONLY in topology.features else choose.pick(tuple(_FUNCTIONS)))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """A claim, and an order to the console; or a write that the kernel's parser takes, and the access."""
        device = topology.device(self.device)
        if self.access == NOW:
            return claim(device), inject("freeze_eeh_pe", device=device.bdf)
        path = f"{EEH_DEBUGFS}/PCI{device.phb:04x}/err_injct"
        arm = write_numbered(device, path, f"{{eeh_pe}}:1:{_FUNCTIONS[self.access]:x}:0:0\n")
        if self.access != CONFIG:
            return claim(device), arm
        return claim(device), arm, Request(Verb.READ_FILE, {"path": device_path(device, "config")})
