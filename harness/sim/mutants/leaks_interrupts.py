"""Rows of /proc/interrupts outlive their context."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class LeaksInterrupts(Recovery):
    """The defect: a purge does not give interrupt lines back."""

    def release_interrupts(self, context: Context) -> None:
        """Keep those of purged contexts, masked as they are."""
        if not any(line.is_masked for line in context.lines) or not self.is_recovering(context):
            super().release_interrupts(context)

    def is_recovering(self, context: Context) -> bool:
        """Whether it was a recovery that closed the context."""
        return context.afu.is_quiesced


MUTANT = Mutant(
    name="LeaksInterrupts",
    title="a purge does not give interrupt lines back",
    platforms=BOTH_PLATFORMS,
    killed_by=("resources_return",),
    component="driver",
    override=LeaksInterrupts,
)
