"""Slots of contexts are not given back, so that capacity shrinks with every recovery."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class LeaksSlots(Recovery):
    """The defect: a context that was purged keeps its slot for ever."""

    def free(self, context: Context) -> None:
        """Free the memory; keep the slot when the context was closed by a recovery."""
        super().free(context)
        if context.afu.generation > 0:
            context.afu.contexts.setdefault(context.number, context)


MUTANT = Mutant(
    name="LeaksSlots",
    title="a context that was purged keeps its slot for ever",
    platforms=BOTH_PLATFORMS,
    killed_by=("availability_returns", "resources_return"),
    component="driver",
    override=LeaksSlots,
)
