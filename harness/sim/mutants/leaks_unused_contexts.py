"""A context that was opened and never attached is not freed (as before 7c26b9cf5347)."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class LeaksUnusedContexts(Recovery):
    """The defect: closing a context that was never attached frees nothing."""

    def free(self, context: Context) -> None:
        """Free what was attached once."""
        if context.pid:
            super().free(context)


MUTANT = Mutant(
    name="LeaksUnusedContexts",
    title="closing a context that was never attached frees nothing",
    platforms=BOTH_PLATFORMS,
    killed_by=("resources_return",),
    component="driver",
    override=LeaksUnusedContexts,
)
