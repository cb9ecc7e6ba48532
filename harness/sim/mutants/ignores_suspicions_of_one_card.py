"""All Fs from the second card are taken for good data (kin of 99f6e9795a68)."""

from __future__ import annotations

from harness.sim.driver.context import DriverCard
from harness.sim.eeh import EehCore
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class IgnoresSuspicionsOfOneCard(EehCore):
    """The defect: a suspicion of the second card is never settled."""

    def check(self, card: DriverCard) -> Flow:
        """Check the first card."""
        if card.hardware.index:
            yield "eeh-check"
            return False
        return (yield from super().check(card))


MUTANT = Mutant(
    name="IgnoresSuspicionsOfOneCard",
    title="a suspicion of the second card is never settled",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("detected_in_time", "availability_returns"),
    component="eeh",
    override=IgnoresSuspicionsOfOneCard,
)
