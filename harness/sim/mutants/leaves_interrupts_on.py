"""Interrupts reach a context that was purged."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class LeavesInterruptsOn(Recovery):
    """The defect: interrupts of a purged context are not masked."""

    def mask_interrupts(self, context: Context) -> None:
        """Say that it was done."""
        self.machine.trace("afu_release_irqs", context.label)


MUTANT = Mutant(
    name="LeavesInterruptsOn",
    title="interrupts of a purged context are not masked",
    platforms=BOTH_PLATFORMS,
    killed_by=("interrupts_stay_masked",),
    component="driver",
    override=LeavesInterruptsOn,
)
