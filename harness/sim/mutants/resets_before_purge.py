"""The reset does not wait for the purge."""

from __future__ import annotations

from collections.abc import Sequence

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.recovery import Recovery
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class ResetsBeforePurge(Recovery):
    """The defect: error_detected returns before the contexts are purged."""

    def quiesce(self, afus: Sequence[DriverAfu]) -> Flow:
        """Begin to quiesce some seconds later, and do not wait for it."""
        yield "quiesce"
        self.machine.spawn(self._later(afus))

    def _later(self, afus: Sequence[DriverAfu]) -> Flow:
        yield 3_000_000
        yield from super().quiesce(afus)


MUTANT = Mutant(
    name="ResetsBeforePurge",
    title="error_detected returns before the contexts are purged",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("phases_in_order", "contexts_purged"),
    component="driver",
    override=ResetsBeforePurge,
)
