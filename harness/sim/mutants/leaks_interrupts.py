"""Interrupt lines, and their rows of /proc/interrupts, outlive the contexts that a recovery closed."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class LeaksInterrupts(Recovery):
    """The defect: a purged context does not give its interrupt lines back."""

    def release_interrupts(self, context: Context) -> None:
        """Give them back, unless the context was purged."""
        if not context.is_garbage:
            super().release_interrupts(context)


MUTANT = Mutant(
    name="LeaksInterrupts",
    title="a purged context does not give its interrupt lines back",
    platforms=BOTH_PLATFORMS,
    killed_by=("resources_return",),
    component="driver",
    override=LeaksInterrupts,
)
