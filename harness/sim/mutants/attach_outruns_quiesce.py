"""An attach that is in flight when the quiesce comes is completed afterwards."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class AttachOutrunsQuiesce:
    """The defect: an attach does not notice the quiesce that overtook it."""

    def is_overtaken(self, context: Context, generation: int) -> bool:
        """Never."""
        return False


MUTANT = Mutant(
    name="AttachOutrunsQuiesce",
    title="an attach does not notice the quiesce that overtook it",
    platforms=BOTH_PLATFORMS,
    killed_by=("contexts_purged",),
    component="driver",
    override=AttachOutrunsQuiesce,
)
