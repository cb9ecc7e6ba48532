"""EEH does not listen to what drivers answer."""

from __future__ import annotations

from harness.sim.eeh import EehPe
from harness.sim.plain import PlainDevice
from harness.sim.plain_eeh import PlainEeh
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform, Subject


class UnplugsCapableDrivers(PlainEeh):
    """The defect: a driver that asked for a reset in place is removed instead."""

    def reset_in_place(self, eeh_pe: EehPe, device: PlainDevice) -> Flow:
        """The other way."""
        return (yield from self.reset_with_hotplug(eeh_pe, device))


MUTANT = Mutant(
    name="UnplugsCapableDrivers",
    title="a driver that asked for a reset in place is removed instead",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("device_phases_in_order",),
    component="eeh",
    override=UnplugsCapableDrivers,
    subject=Subject.DEVICES,
)
