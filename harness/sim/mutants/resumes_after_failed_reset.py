"""The driver does not look at what the reset has answered."""

from __future__ import annotations

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.guest import GuestDriver
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class ResumesAfterFailedReset(GuestDriver):
    """The defect: an AFU is resumed whether its reset has worked or not."""

    def on_disable(self, afu: DriverAfu) -> Flow:
        """Quiesce, reset, resume."""
        yield from self.quiesce_once(afu)
        yield from self.reset_function(afu)
        self.tell_resume(afu)


MUTANT = Mutant(
    name="ResumesAfterFailedReset",
    title="an AFU is resumed whether its reset has worked or not",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("phases_in_order",),
    component="driver",
    override=ResumesAfterFailedReset,
)
