"""References to processes leak (kin of a05b82d5149d)."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class LeaksPids(Recovery):
    """The defect: a purge keeps the pid and the memory map of who attached."""

    def put_pid(self, context: Context) -> None:
        """Put them only for contexts that were closed by their owner."""
        if not context.is_garbage:
            super().put_pid(context)


MUTANT = Mutant(
    name="LeaksPids",
    title="a purge keeps the pid and the memory map of who attached",
    platforms=BOTH_PLATFORMS,
    killed_by=("resources_return",),
    component="driver",
    override=LeaksPids,
)
