"""The periodic check is not started again after a recovery (invariant V9)."""

from __future__ import annotations

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.guest import FIRST_CHECK_US, GuestDriver
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class PollStopsAfterRecovery(GuestDriver):
    """The defect: an AFU that recovered once is never checked again."""

    def check_periodically(self, afu: DriverAfu) -> Flow:
        """Check until the AFU has been quiesced and resumed."""
        yield FIRST_CHECK_US
        while not afu.is_permanent and (afu.generation == 0 or afu.is_quiesced):
            yield from self.check(afu)
            yield self.poll_us(afu)


MUTANT = Mutant(
    name="PollStopsAfterRecovery",
    title="an AFU that recovered once is never checked again",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("detected_in_time",),
    component="driver",
    override=PollStopsAfterRecovery,
)
