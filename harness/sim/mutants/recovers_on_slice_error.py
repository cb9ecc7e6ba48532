"""A slice error starts a recovery without a look at the state of the AFU."""

from __future__ import annotations

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.guest import GuestDriver
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class RecoversOnSliceError(GuestDriver):
    """The defect: a slice error is taken for DISABLE and not confirmed."""

    def report_slice_error(self, afu: DriverAfu) -> Flow:
        """Say it, then do what a check does that finds DISABLE."""
        yield from super().report_slice_error(afu)
        yield from afu.lock.acquire()
        yield from self.on_disable(afu)
        afu.lock.release(self.machine.scheduler)


MUTANT = Mutant(
    name="RecoversOnSliceError",
    title="a slice error is taken for DISABLE and not confirmed",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("recovery_confirmed",),
    component="driver",
    override=RecoversOnSliceError,
)
