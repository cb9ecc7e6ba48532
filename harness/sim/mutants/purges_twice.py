"""The garbage list takes a context twice."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.recovery import Recovery
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class PurgesTwice(Recovery):
    """The defect: an active context is purged twice."""

    def purge(self, context: Context) -> Flow:
        """Purge, and say once more that it was done."""
        was_listed = context.is_garbage
        yield from super().purge(context)
        if context.is_garbage and not was_listed:
            self.machine.trace("cxl_detach", context.label)


MUTANT = Mutant(
    name="PurgesTwice",
    title="an active context is purged twice",
    platforms=BOTH_PLATFORMS,
    killed_by=("contexts_purged",),
    component="driver",
    override=PurgesTwice,
)
