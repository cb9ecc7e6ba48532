"""A reset of the facility quiesces its first AFU only (kin of 4f58f0bf155e)."""

from __future__ import annotations

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.guest import GuestDriver
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class ForgetsSecondAfuInReset(GuestDriver):
    """The defect: a card's reset leaves the contexts of its second AFU attached."""

    def quiesce_once(self, afu: DriverAfu, channel: int = 2) -> Flow:
        """Quiesce, except for the others in a reset of the card."""
        if not (afu.card.is_locked and afu is not afu.card.afus[0]):
            yield from super().quiesce_once(afu, channel)


MUTANT = Mutant(
    name="ForgetsSecondAfuInReset",
    title="a card's reset leaves the contexts of its second AFU attached",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("contexts_purged", "phases_in_order"),
    component="driver",
    override=ForgetsSecondAfuInReset,
)
