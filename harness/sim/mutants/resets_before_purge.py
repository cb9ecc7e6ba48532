"""The reset does not wait for the purge."""

from __future__ import annotations

from collections.abc import Sequence

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.recovery import Recovery
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class ResetsBeforePurge(Recovery):
    """The defect: the purge comes three seconds after it is due, and nothing waits for it."""

    def quiesce(self, afus: Sequence[DriverAfu]) -> Flow:
        """Leave it to a task that begins later."""
        yield "quiesce"
        self.machine.spawn(self._later(afus))

    def _later(self, afus: Sequence[DriverAfu]) -> Flow:
        yield 3_000_000
        yield from super().quiesce(afus)


MUTANT = Mutant(
    name="ResetsBeforePurge",
    title="the purge comes three seconds after it is due, and nothing waits for it",
    platforms=BOTH_PLATFORMS,
    killed_by=("phases_in_order", "contexts_purged"),
    component="driver",
    override=ResetsBeforePurge,
)
