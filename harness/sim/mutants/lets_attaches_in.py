"""Attach succeeds during recovery (as before ea9a26d117cf)."""

from __future__ import annotations

from harness.sim.driver.context import Context, DriverAfu, DriverCard
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class LetsAttachesIn:
    """The defect: nothing is shut between quiesce and resume."""

    def shut(self, afu: DriverAfu) -> None:
        """Let everybody in."""

    def lock(self, card: DriverCard) -> None:
        """Lock nothing."""

    def is_overtaken(self, context: Context, generation: int) -> bool:
        """Never."""
        return False


MUTANT = Mutant(
    name="LetsAttachesIn",
    title="nothing is shut between quiesce and resume",
    platforms=BOTH_PLATFORMS,
    killed_by=("contexts_purged",),
    component="driver",
    override=LetsAttachesIn,
)
