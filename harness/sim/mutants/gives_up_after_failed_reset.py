"""The driver forgets an AFU whose reset has failed once."""

from __future__ import annotations

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.guest import GuestDriver
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class GivesUpAfterFailedReset(GuestDriver):
    """The defect: a reset that fails is never tried again."""

    def on_disable(self, afu: DriverAfu) -> Flow:
        """Recover once; an AFU that is still shut stays so."""
        if not afu.is_quiesced:
            yield from super().on_disable(afu)


MUTANT = Mutant(
    name="GivesUpAfterFailedReset",
    title="a reset that fails is never tried again",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("availability_returns",),
    component="driver",
    override=GivesUpAfterFailedReset,
)
