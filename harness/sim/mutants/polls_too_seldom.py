"""The periodic check comes so seldom that changes of state stay unnoticed for long."""

from __future__ import annotations

from harness.sim.driver.context import DriverAfu
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class PollsTooSeldom:
    """The defect: an AFU is checked every nine seconds."""

    def poll_us(self, afu: DriverAfu) -> int:
        """How long to rest between two checks."""
        return 9_000_000


MUTANT = Mutant(
    name="PollsTooSeldom",
    title="an AFU is checked every nine seconds",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("detected_in_time",),
    component="driver",
    override=PollsTooSeldom,
)
