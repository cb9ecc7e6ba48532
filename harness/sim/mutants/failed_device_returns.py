"""EEH changes its mind about a device."""

from __future__ import annotations

from harness.sim.eeh import HOTPLUG_US, EehPe
from harness.sim.plain import PlainDevice
from harness.sim.plain_eeh import PlainEeh
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform, Subject


class FailedDeviceReturns(PlainEeh):
    """The defect: a device that was given up is reset and used again."""

    def lose(self, eeh_pe: EehPe, device: PlainDevice) -> Flow:
        """Give it up, and bring it back after a while."""
        yield from super().lose(eeh_pe, device)
        yield HOTPLUG_US
        device.hardware.reset()
        device.is_permanent = eeh_pe.is_isolated = False
        yield from self.drivers.probe(device)
        return False


MUTANT = Mutant(
    name="FailedDeviceReturns",
    title="a device that was given up is reset and used again",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("failed_device_stays_gone",),
    component="eeh",
    override=FailedDeviceReturns,
    subject=Subject.DEVICES,
)
