"""The purge loses CXL_START_WORK_ERR_FF, and applications that asked for all Fs get SIGBUS."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class ForgetsErrFf(Recovery):
    """The defect: a purged context forgets that it asked for all Fs."""

    def unmap_mmio(self, context: Context) -> None:
        """Unmap, and forget the flag."""
        context.is_err_ff = False
        super().unmap_mmio(context)


MUTANT = Mutant(
    name="ForgetsErrFf",
    title="a purged context forgets that it asked for all Fs",
    platforms=BOTH_PLATFORMS,
    killed_by=("loads_give_all_ones",),
    component="driver",
    override=ForgetsErrFf,
)
