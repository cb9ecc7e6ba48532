"""EEH marks a device as lost before it calls the driver, and calls no driver of a lost one: so Linux 6.1."""

from __future__ import annotations

from harness.sim.eeh import EehPe
from harness.sim.plain_eeh import GIVEN_UP, Callback, PlainEeh
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform, Subject


class GivesDevicesUpInSilence(PlainEeh):
    """The defect: a driver is not told that its device is given up."""

    def report(self, eeh_pe: EehPe, name: str, callback: Callback) -> Flow:
        """Call nobody at the end."""
        if name != GIVEN_UP:
            return (yield from super().report(eeh_pe, name, callback))
        self.machine.log(6, f"EEH: Beginning: '{name}'")
        head = f"PCI {eeh_pe.card.hardware.bdf}#{eeh_pe.number:04x}: EEH: "
        self.machine.log(6, f"{head}not actionable (1,1,1)")
        self.machine.log(6, f"EEH: Finished:'{name}'")
        return "none"


MUTANT = Mutant(
    name="GivesDevicesUpInSilence",
    title="a driver is not told that its device is given up",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("device_phases_in_order",),
    component="eeh",
    override=GivesDevicesUpInSilence,
    subject=Subject.DEVICES,
)
