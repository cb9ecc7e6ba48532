"""Only the first AFU of a card is told of an error (as before 4f58f0bf155e)."""

from __future__ import annotations

from collections.abc import Sequence

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.recovery import Recovery
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class ForgetsSecondAfu(Recovery):
    """The defect: error_detected quiesces one AFU only."""

    def quiesce(self, afus: Sequence[DriverAfu]) -> Flow:
        """Quiesce the first."""
        yield from super().quiesce(afus[:1])


MUTANT = Mutant(
    name="ForgetsSecondAfu",
    title="error_detected quiesces one AFU only",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("contexts_purged", "phases_in_order"),
    component="driver",
    override=ForgetsSecondAfu,
)
