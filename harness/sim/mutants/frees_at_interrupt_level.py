"""Memory is freed where nothing may be: the very thing that the garbage list is for."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class FreesAtInterruptLevel(Recovery):
    """The defect: a purged context that nobody has open is freed at interrupt level."""

    def add_to_garbage(self, context: Context) -> None:
        """Free part of the context at once, and the rest later."""
        self.machine.trace("reclaim_ctx", f"{context.afu.name} pe={context.number + 1000}")
        super().add_to_garbage(context)


MUTANT = Mutant(
    name="FreesAtInterruptLevel",
    title="a purged context that nobody has open is freed at interrupt level",
    platforms=BOTH_PLATFORMS,
    killed_by=("freed_outside_interrupts",),
    component="driver",
    override=FreesAtInterruptLevel,
)
