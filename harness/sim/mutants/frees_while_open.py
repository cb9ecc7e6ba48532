"""The deferred part frees a context whose file is still open (use after free)."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.recovery import Recovery
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class FreesWhileOpen(Recovery):
    """The defect: a drained context is freed although its file is open."""

    def deallocate(self, context: Context) -> Flow:
        """Deallocate, then free without looking."""
        yield from super().deallocate(context)
        if not context.is_freed:
            self.free(context)


MUTANT = Mutant(
    name="FreesWhileOpen",
    title="a drained context is freed although its file is open",
    platforms=BOTH_PLATFORMS,
    killed_by=("freed_once", "kernel_log_is_clean"),
    component="driver",
    override=FreesWhileOpen,
)
