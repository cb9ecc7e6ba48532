"""PHYP lets a permanently failed function come back, and the driver believes it."""

from __future__ import annotations

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.guest import GuestDriver
from harness.sim.phyp import State
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class FailedAfuComesBack(GuestDriver):
    """The defect: PERM_UNAVAILABLE ends by itself and the AFU is let in again."""

    def on_permanently_unavailable(self, afu: DriverAfu) -> Flow:
        """Declare the failure; then force the function back to NORMAL."""
        yield from super().on_permanently_unavailable(afu)
        yield 2_000_000
        function = self.phyp.functions[afu.unit]
        function.state = State.NORMAL
        afu.hardware.reset()
        afu.hardware.is_isolated = False
        afu.is_permanent = False
        self.tell_resume(afu)


MUTANT = Mutant(
    name="FailedAfuComesBack",
    title="PERM_UNAVAILABLE ends by itself and the AFU is let in again",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("permanent_failure_is_final",),
    component="driver",
    override=FailedAfuComesBack,
)
