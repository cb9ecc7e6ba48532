"""A purged context answers with an undocumented errno where EIO is due."""

from __future__ import annotations

from harness.sim.driver.context import Context, Status
from harness.sim.machine import SystemCallError
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class AnswersWrongErrno:
    """The defect: a purged context fails with EPERM."""

    def refuse_closed(self, context: Context) -> None:
        """Refuse with the wrong word."""
        if context.status is Status.CLOSED:
            raise SystemCallError("EPERM")


MUTANT = Mutant(
    name="AnswersWrongErrno",
    title="a purged context fails with EPERM",
    platforms=BOTH_PLATFORMS,
    killed_by=("answers_as_documented", "purged_contexts_stay_dead"),
    component="driver",
    override=AnswersWrongErrno,
)
