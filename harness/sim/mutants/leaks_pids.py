"""References to processes outlive the contexts that a recovery closed (kin of a05b82d5149d)."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class LeaksPids(Recovery):
    """The defect: a purged context keeps the pid and the memory map of the process that attached it."""

    def put_pid(self, context: Context) -> None:
        """Put them, unless the context was purged."""
        if not context.is_garbage:
            super().put_pid(context)


MUTANT = Mutant(
    name="LeaksPids",
    title="a purged context keeps the pid and the memory map of the process that attached it",
    platforms=BOTH_PLATFORMS,
    killed_by=("resources_return",),
    component="driver",
    override=LeaksPids,
)
