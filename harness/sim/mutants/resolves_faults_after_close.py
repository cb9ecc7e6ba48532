"""A page fault that a close overtakes is resolved (as before d9232a3da868)."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.fileops import FileOperations
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class ResolvesFaultsAfterClose(FileOperations):
    """The defect: closing a context does not drop its pending page faults."""

    def drop_pending_faults(self, context: Context) -> None:
        """Drop those of a purge only."""
        if context.is_garbage:
            super().drop_pending_faults(context)

    def is_dropped(self, context: Context, fault: int) -> bool:
        """Look no further than the list."""
        return fault not in context.faults


MUTANT = Mutant(
    name="ResolvesFaultsAfterClose",
    title="closing a context does not drop its pending page faults",
    platforms=BOTH_PLATFORMS,
    killed_by=("faults_dropped",),
    component="driver",
    override=ResolvesFaultsAfterClose,
)
