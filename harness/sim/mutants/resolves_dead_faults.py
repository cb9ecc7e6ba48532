"""Page faults of purged contexts stay pending and are resolved as if nothing had happened."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class ResolvesDeadFaults:
    """The defect: pending page faults are not dropped."""

    def drop_pending_faults(self, context: Context) -> None:
        """Keep them."""

    def is_dropped(self, context: Context, fault: int) -> bool:
        """Nothing ever is."""
        return False


MUTANT = Mutant(
    name="ResolvesDeadFaults",
    title="pending page faults are not dropped",
    platforms=BOTH_PLATFORMS,
    killed_by=("faults_dropped",),
    component="driver",
    override=ResolvesDeadFaults,
)
