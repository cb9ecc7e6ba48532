"""EEH forgets from the second recovery on that there is a driver to be told (as before aa06e3d60e24)."""

from __future__ import annotations

from collections.abc import Callable

from harness.sim.driver.context import DriverCard
from harness.sim.eeh import EehCore, EehPe
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class SecondRecoverySkipsDriver(EehCore):
    """The defect: a driver is told of the first error only."""

    def call(self, eeh_pe: EehPe, name: str, callback: Callable[[DriverCard], Flow]) -> Flow:
        """Call the driver the first time."""
        if eeh_pe.freezes < 2:
            return (yield from super().call(eeh_pe, name, callback))
        self.machine.log(6, f"PCI {eeh_pe.card.hardware.bdf}#{eeh_pe.number:04x}: EEH: no driver")
        return "need reset" if name.startswith("error_detected") else "recovered"


MUTANT = Mutant(
    name="SecondRecoverySkipsDriver",
    title="a driver is told of the first error only",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("contexts_purged", "phases_in_order"),
    component="eeh",
    override=SecondRecoverySkipsDriver,
)
