"""The purge takes the list of slave contexts for the list of all."""

from __future__ import annotations

from harness.sim.driver.context import Context, DriverAfu
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class SkipsMasterContexts(Recovery):
    """The defect: quiesce purges slave and dedicated contexts only."""

    def contexts_to_purge(self, afu: DriverAfu) -> list[Context]:
        """All but the masters."""
        return [context for context in super().contexts_to_purge(afu) if context.kind != "m"]


MUTANT = Mutant(
    name="SkipsMasterContexts",
    title="quiesce purges slave and dedicated contexts only",
    platforms=BOTH_PLATFORMS,
    killed_by=("contexts_purged", "purged_contexts_stay_dead"),
    component="driver",
    override=SkipsMasterContexts,
)
