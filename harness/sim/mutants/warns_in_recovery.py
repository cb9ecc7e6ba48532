"""The recovery leaves a WARN in the kernel log (as 32 of the historic bugs did)."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class WarnsInRecovery(Recovery):
    """The defect: a purge complains of contexts that hold the adapter."""

    def put_references(self, context: Context) -> None:
        """Put, and warn when others are still attached."""
        super().put_references(context)
        if context.is_garbage and context.afu.card.contexts_num > 0:
            text = f"Adapter context unlocked with {context.afu.card.contexts_num} active contexts"
            self.machine.warn(text, "drivers/misc/cxl/main.c:325 cxl_adapter_context_unlock")


MUTANT = Mutant(
    name="WarnsInRecovery",
    title="a purge complains of contexts that hold the adapter",
    platforms=BOTH_PLATFORMS,
    killed_by=("kernel_log_is_clean",),
    component="driver",
    override=WarnsInRecovery,
)
