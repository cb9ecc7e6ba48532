"""A recovery leaves contexts alone that are open and not attached yet."""

from __future__ import annotations

from harness.sim.driver.context import Context, Status
from harness.sim.driver.recovery import Recovery
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class KeepsUnattachedContexts(Recovery):
    """The defect: a context that was opened before the recovery can be attached after it."""

    def purge(self, context: Context) -> Flow:
        """Purge what is attached."""
        if context.status is Status.STARTED:
            yield from super().purge(context)


MUTANT = Mutant(
    name="KeepsUnattachedContexts",
    title="a context that was opened before the recovery can be attached after it",
    platforms=BOTH_PLATFORMS,
    killed_by=("purged_contexts_stay_dead",),
    component="driver",
    override=KeepsUnattachedContexts,
)
