"""The purge masks the PSL's interrupt and leaves those of the AFU on."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class MasksPslLineOnly(Recovery):
    """The defect: only the first interrupt of a purged context is masked."""

    def mask_interrupts(self, context: Context) -> None:
        """Mask one."""
        for line in context.lines[:1]:
            self.machine.mask_and_clear_irq(line)
        self.machine.trace("afu_release_irqs", context.label)


MUTANT = Mutant(
    name="MasksPslLineOnly",
    title="only the first interrupt of a purged context is masked",
    platforms=BOTH_PLATFORMS,
    killed_by=("interrupts_stay_masked",),
    component="driver",
    override=MasksPslLineOnly,
)
