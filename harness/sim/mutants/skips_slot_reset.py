"""EEH forgets a callback."""

from __future__ import annotations

from harness.sim.eeh import EehPe
from harness.sim.plain import PlainDevice
from harness.sim.plain_eeh import PlainEeh
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform, Subject


class SkipsSlotReset(PlainEeh):
    """The defect: a driver that asked for a reset is not told that it was made."""

    def reset_in_place(self, eeh_pe: EehPe, device: PlainDevice) -> Flow:
        """Reset, and resume at once."""
        self.machine.log(6, "EEH: Reset without hotplug activity")
        if not (yield from self.reset(eeh_pe)):
            return (yield from self.lose(eeh_pe, device))
        yield from self.finish(eeh_pe, device)
        return False


MUTANT = Mutant(
    name="SkipsSlotReset",
    title="a driver that asked for a reset is not told that it was made",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("device_phases_in_order",),
    component="eeh",
    override=SkipsSlotReset,
    subject=Subject.DEVICES,
)
