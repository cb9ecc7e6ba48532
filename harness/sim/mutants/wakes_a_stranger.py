"""An AFU interrupt is demultiplexed to the wrong context (kin of bc78b05bb412)."""

from __future__ import annotations

from harness.sim.driver.context import Context, Status
from harness.sim.driver.fileops import FileOperations
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class WakesAStranger(FileOperations):
    """The defect: an AFU interrupt is delivered to the neighbour of its context."""

    def afu_interrupt(self, context: Context, irq: int) -> Flow:
        """Deliver to another context of the AFU when there is one."""
        others = [
            other
            for number, other in sorted(context.afu.contexts.items())
            if other is not context and other.status is Status.STARTED and irq < len(other.lines)
        ]
        yield from super().afu_interrupt(others[0] if others else context, irq)


MUTANT = Mutant(
    name="WakesAStranger",
    title="an AFU interrupt is delivered to the neighbour of its context",
    platforms=BOTH_PLATFORMS,
    killed_by=("interrupts_stay_masked",),
    component="driver",
    override=WakesAStranger,
)
