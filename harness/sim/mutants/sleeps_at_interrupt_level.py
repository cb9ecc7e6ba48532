"""Quiesce waits for a detach that is under way, at interrupt level (as before ee41d11d53c8)."""

from __future__ import annotations

from collections.abc import Sequence

from harness.sim.driver.context import DriverAfu, Status
from harness.sim.driver.recovery import Recovery
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class SleepsAtInterruptLevel(Recovery):
    """The defect: a quiesce that meets a detach sleeps in atomic context."""

    def quiesce_at_interrupt_level(self, afus: Sequence[DriverAfu]) -> Flow:
        """Sleep on the lock that the detach holds."""
        contexts = [context for afu in afus for context in self.contexts_to_purge(afu)]
        if any(context.status is Status.CLOSED and context.has_references for context in contexts):
            self.machine.oops("scheduling while atomic: swapper/0/0/0x00010000", "cxl_context_detach_all")
        yield from super().quiesce_at_interrupt_level(afus)


MUTANT = Mutant(
    name="SleepsAtInterruptLevel",
    title="a quiesce that meets a detach sleeps in atomic context",
    platforms=BOTH_PLATFORMS,
    killed_by=("kernel_log_is_clean",),
    component="driver",
    override=SleepsAtInterruptLevel,
)
