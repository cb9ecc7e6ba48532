"""A reset of an AFU does not look at who has it open."""

from __future__ import annotations

from harness.sim.driver.context import DriverAfu
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class ResetsAfuInUse:
    """The defect: an AFU is reset under contexts that are open."""

    def reset_afu(self, afu: DriverAfu) -> Flow:
        """Reset as if nobody used it."""
        contexts, afu.contexts = afu.contexts, {}
        try:
            yield from super().reset_afu(afu)  # type: ignore[misc]
        finally:
            afu.contexts = contexts | afu.contexts


MUTANT = Mutant(
    name="ResetsAfuInUse",
    title="an AFU is reset under contexts that are open",
    platforms=BOTH_PLATFORMS,
    killed_by=("resets_are_refused", "availability_returns"),
    component="driver",
    override=ResetsAfuInUse,
)
