"""The periodic check ends when PHYP once does not say the state (invariant V9)."""

from __future__ import annotations

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.guest import FIRST_CHECK_US, GuestDriver
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class StopsPollingOnFailedHcall(GuestDriver):
    """The defect: an AFU whose state could not be read is never checked again."""

    def check_periodically(self, afu: DriverAfu) -> Flow:
        """Check until PHYP does not answer."""
        yield FIRST_CHECK_US
        while not afu.is_permanent:
            if (yield from self.read_state(afu)) is None:
                return
            yield from self.check(afu)
            yield self.poll_us(afu)


MUTANT = Mutant(
    name="StopsPollingOnFailedHcall",
    title="an AFU whose state could not be read is never checked again",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("detected_in_time",),
    component="driver",
    override=StopsPollingOnFailedHcall,
)
