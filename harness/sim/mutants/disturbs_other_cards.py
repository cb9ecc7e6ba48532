"""A recovery takes the contexts of every card with it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.recovery import Recovery
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class DisturbsOtherCards(Recovery):
    """The defect: quiesce purges the contexts of all cards."""

    def quiesce_at_interrupt_level(self, afus: Sequence[DriverAfu]) -> Flow:
        """Purge what was asked for, then the rest."""
        yield from super().quiesce_at_interrupt_level(afus)
        for card in self.cards.values():
            for afu in card.afus:
                if afu not in afus:
                    for context in self.contexts_to_purge(afu):
                        yield from self.purge(context)


MUTANT = Mutant(
    name="DisturbsOtherCards",
    title="quiesce purges the contexts of all cards",
    platforms=BOTH_PLATFORMS,
    killed_by=("others_undisturbed",),
    component="driver",
    override=DisturbsOtherCards,
)
