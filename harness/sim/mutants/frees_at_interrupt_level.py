"""The purge frees memory at interrupt level, which is what the garbage list is there to avoid."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class FreesAtInterruptLevel(Recovery):
    """The defect: a context is freed in the moment in which it is put on the garbage list."""

    def add_to_garbage(self, context: Context) -> None:
        """Say that its memory is freed, then let the deferred part do the rest."""
        self.machine.trace("reclaim_ctx", context.label)
        super().add_to_garbage(context)


MUTANT = Mutant(
    name="FreesAtInterruptLevel",
    title="a context is freed in the moment in which it is put on the garbage list",
    platforms=BOTH_PLATFORMS,
    killed_by=("freed_outside_interrupts",),
    component="driver",
    override=FreesAtInterruptLevel,
)
