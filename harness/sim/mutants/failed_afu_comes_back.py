"""The driver says that an AFU has failed for good, and resumes it all the same."""

from __future__ import annotations

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.guest import GuestDriver
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class FailedAfuComesBack(GuestDriver):
    """The defect: an AFU that is PERM_UNAVAILABLE is resumed."""

    def on_permanently_unavailable(self, afu: DriverAfu) -> Flow:
        """Give the AFU up, and two seconds later go on with it."""
        yield from super().on_permanently_unavailable(afu)
        yield 2_000_000
        self.tell_resume(afu)


MUTANT = Mutant(
    name="FailedAfuComesBack",
    title="an AFU that is PERM_UNAVAILABLE is resumed",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("permanent_failure_is_final",),
    component="driver",
    override=FailedAfuComesBack,
)
