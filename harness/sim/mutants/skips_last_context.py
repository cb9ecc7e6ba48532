"""One context of each AFU is forgotten when there are several."""

from __future__ import annotations

from harness.sim.driver.context import Context, DriverAfu
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class SkipsLastContext(Recovery):
    """The defect: quiesce purges all contexts but the last."""

    def contexts_to_purge(self, afu: DriverAfu) -> list[Context]:
        """All but the last, when there are two or more."""
        contexts = super().contexts_to_purge(afu)
        return contexts[:-1] if len(contexts) > 1 else contexts


MUTANT = Mutant(
    name="SkipsLastContext",
    title="quiesce purges all contexts but the last",
    platforms=BOTH_PLATFORMS,
    killed_by=("contexts_purged",),
    component="driver",
    override=SkipsLastContext,
)
