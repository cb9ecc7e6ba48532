"""Close frees the interrupts that a recovery has freed already (as before b3aa20ba2ba8)."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class FreesInterruptsTwice(Recovery):
    """The defect: the interrupts of a purged context are freed again with its memory."""

    def release_interrupts(self, context: Context) -> None:
        """Free them, and remember those of a purged context."""
        lines = context.lines
        super().release_interrupts(context)
        context.lines = lines if context.is_garbage else []

    def free(self, context: Context) -> None:
        """Free the memory, and what is remembered."""
        super().release_interrupts(context)
        super().free(context)


MUTANT = Mutant(
    name="FreesInterruptsTwice",
    title="the interrupts of a purged context are freed again with its memory",
    platforms=BOTH_PLATFORMS,
    killed_by=("kernel_log_is_clean",),
    component="driver",
    override=FreesInterruptsTwice,
)
