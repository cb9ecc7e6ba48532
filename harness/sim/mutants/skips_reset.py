"""The driver takes an AFU for recovered without a reset by hcall."""

from __future__ import annotations

from harness.sim.driver.context import DriverAfu
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class SkipsReset:
    """The defect: DISABLE is answered without H_CONTROL_CA_FUNCTION RESET."""

    def reset_function(self, afu: DriverAfu) -> Flow:
        """Pretend."""
        yield "reset"
        return True


MUTANT = Mutant(
    name="SkipsReset",
    title="DISABLE is answered without H_CONTROL_CA_FUNCTION RESET",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("availability_returns",),
    component="driver",
    override=SkipsReset,
)
