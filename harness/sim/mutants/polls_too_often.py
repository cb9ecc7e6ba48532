"""The periodic check costs ten times what it may."""

from __future__ import annotations

from harness.sim.driver.context import DriverAfu
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class PollsTooOften:
    """The defect: an AFU is checked every 300 ms."""

    def poll_us(self, afu: DriverAfu) -> int:
        """How long to rest between two checks."""
        return 300_000


MUTANT = Mutant(
    name="PollsTooOften",
    title="an AFU is checked every 300 ms",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("polling_within_budget",),
    component="driver",
    override=PollsTooOften,
)
