"""An attach that fails keeps the pid that it took (as before a05b82d5149d)."""

from __future__ import annotations

from harness.sim.driver.context import Context, Status
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class LeaksPidOnFailedAttach(Recovery):
    """The defect: an attach that the device refuses keeps its pid and memory map."""

    def put_pid(self, context: Context) -> None:
        """Put them, unless the attach never came about."""
        if context.status is not Status.OPENED:
            super().put_pid(context)


MUTANT = Mutant(
    name="LeaksPidOnFailedAttach",
    title="an attach that the device refuses keeps its pid and memory map",
    platforms=BOTH_PLATFORMS,
    killed_by=("resources_return",),
    component="driver",
    override=LeaksPidOnFailedAttach,
)
