"""A recovery that purges two contexts never ends."""

from __future__ import annotations

from collections.abc import Sequence

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.recovery import Recovery
from harness.sim.scheduler import Flow, Wait, WaitQueue
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class HangsInQuiesce(Recovery):
    """The defect: quiesce waits for ever once two contexts were purged."""

    def drain_garbage(self, afus: Sequence[DriverAfu]) -> Flow:
        """Drain; with two contexts wait for what nobody does."""
        if sum(len(afu.garbage) for afu in afus) >= 2:
            yield Wait(WaitQueue(), is_interruptible=False)
        yield from super().drain_garbage(afus)


MUTANT = Mutant(
    name="HangsInQuiesce",
    title="quiesce waits for ever once two contexts were purged",
    platforms=BOTH_PLATFORMS,
    killed_by=("availability_returns", "blocked_calls_return"),
    component="driver",
    override=HangsInQuiesce,
)
