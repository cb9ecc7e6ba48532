"""EEH settles a suspicion only after a long time."""

from __future__ import annotations

from harness.sim.driver.context import DriverCard
from harness.sim.eeh import EehCore
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class DetectsLate(EehCore):
    """The defect: a freeze is confirmed five seconds after the suspicion."""

    def check(self, card: DriverCard) -> Flow:
        """Begin to check some seconds later."""
        yield "eeh-check"
        self.machine.spawn(self._later(card))
        return True

    def _later(self, card: DriverCard) -> Flow:
        yield 5_000_000
        yield from super().check(card)


MUTANT = Mutant(
    name="DetectsLate",
    title="a freeze is confirmed five seconds after the suspicion",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("detected_in_time",),
    component="eeh",
    override=DetectsLate,
)
