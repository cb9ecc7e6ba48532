"""Whoever waits on a purged context is not woken."""

from __future__ import annotations

from harness.sim.driver.context import Context, Status
from harness.sim.driver.recovery import Recovery
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class LosesWakeups(Recovery):
    """The defect: the deferred part wakes nobody."""

    def wake_waiters(self, context: Context) -> None:
        """Wake only those whose context is alive."""
        if context.status is not Status.CLOSED:
            super().wake_waiters(context)


MUTANT = Mutant(
    name="LosesWakeups",
    title="the deferred part wakes nobody",
    platforms=BOTH_PLATFORMS,
    killed_by=("blocked_calls_return",),
    component="driver",
    override=LosesWakeups,
)
