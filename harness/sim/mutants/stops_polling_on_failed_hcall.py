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
        self.deaf: set[str] = getattr(self, "deaf", set())
        yield FIRST_CHECK_US
        while not afu.is_permanent and afu.name not in self.deaf:
            yield from self.check(afu)
            yield self.poll_us(afu)

    def read_state(self, afu: DriverAfu) -> Flow:
        """Read, and remember who was not answered."""
        state = yield from super().read_state(afu)
        if state is None:
            self.deaf.add(afu.name)
        return state


MUTANT = Mutant(
    name="StopsPollingOnFailedHcall",
    title="an AFU whose state could not be read is never checked again",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("detected_in_time",),
    component="driver",
    override=StopsPollingOnFailedHcall,
)
