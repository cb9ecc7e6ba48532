"""Contexts stay attached to an AFU that is gone for a time (as in Linux 6.1)."""

from __future__ import annotations

from harness.sim.driver.context import DriverAfu
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class IgnoresTemporaryUnavailability:
    """The defect: TEMP_UNAVAILABLE is noted and nothing is purged."""

    def on_temporarily_unavailable(self, afu: DriverAfu) -> Flow:
        """Do nothing."""
        yield "ignore"


MUTANT = Mutant(
    name="IgnoresTemporaryUnavailability",
    title="TEMP_UNAVAILABLE is noted and nothing is purged",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("contexts_purged",),
    component="driver",
    override=IgnoresTemporaryUnavailability,
)
