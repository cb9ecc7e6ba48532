"""A permanently failed AFU keeps its contexts, and their waiters sleep on (as in Linux 6.1)."""

from __future__ import annotations

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.recovery import Recovery
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class KeepsContextsOfFailedAfu(Recovery):
    """The defect: PERM_UNAVAILABLE is said and nothing is purged."""

    def on_permanently_unavailable(self, afu: DriverAfu) -> Flow:
        """Say so, and no more."""
        yield "permanent"
        self.machine.log(3, f"cxl {afu.name}: AFU is in permanent error state")
        afu.is_permanent = True


MUTANT = Mutant(
    name="KeepsContextsOfFailedAfu",
    title="PERM_UNAVAILABLE is said and nothing is purged",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("contexts_purged",),
    component="driver",
    override=KeepsContextsOfFailedAfu,
)
