"""Purged contexts pile up on the garbage list."""

from __future__ import annotations

from collections.abc import Sequence

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.recovery import Recovery
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class ForgetsGarbage(Recovery):
    """The defect: the deferred part leaves the last purged context on the garbage list."""

    def drain_garbage(self, afus: Sequence[DriverAfu]) -> Flow:
        """Drain all but one context of each AFU, and drop the references of that one."""
        for afu in afus:
            if afu.garbage:
                forgotten = afu.garbage.pop()
                self.put_references(forgotten)
                self.wake_waiters(forgotten)
        yield from super().drain_garbage(afus)


MUTANT = Mutant(
    name="ForgetsGarbage",
    title="the deferred part leaves the last purged context on the garbage list",
    platforms=BOTH_PLATFORMS,
    killed_by=("garbage_drained", "resources_return"),
    component="driver",
    override=ForgetsGarbage,
)
