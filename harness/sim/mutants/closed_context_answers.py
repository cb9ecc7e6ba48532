"""A context that was purged goes on answering ioctls."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class ClosedContextAnswers:
    """The defect: ioctls work on a closed context."""

    def refuse_closed(self, context: Context) -> None:
        """Refuse nothing."""


MUTANT = Mutant(
    name="ClosedContextAnswers",
    title="ioctls work on a closed context",
    platforms=BOTH_PLATFORMS,
    killed_by=("purged_contexts_stay_dead",),
    component="driver",
    override=ClosedContextAnswers,
)
