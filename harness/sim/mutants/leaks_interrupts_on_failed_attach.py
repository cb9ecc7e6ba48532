"""An attach that fails keeps the interrupts that it took (kin of 3a15b45b5454)."""

from __future__ import annotations

from harness.sim.driver.context import Context, Status
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class LeaksInterruptsOnFailedAttach(Recovery):
    """The defect: an attach that the device refuses keeps its interrupt lines."""

    def release_interrupts(self, context: Context) -> None:
        """Give them back, unless the attach never came about."""
        if context.status is not Status.OPENED:
            super().release_interrupts(context)


MUTANT = Mutant(
    name="LeaksInterruptsOnFailedAttach",
    title="an attach that the device refuses keeps its interrupt lines",
    platforms=BOTH_PLATFORMS,
    killed_by=("resources_return",),
    component="driver",
    override=LeaksInterruptsOnFailedAttach,
)
