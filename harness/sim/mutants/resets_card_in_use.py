"""A reset that is not forced does not look at who uses the card (as before 70b565bbdb91)."""

from __future__ import annotations

from harness.sim.driver.context import DriverCard
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class ResetsCardInUse:
    """The defect: a card is reset under contexts that are attached."""

    def reset_card(self, card: DriverCard, is_forced: bool) -> Flow:
        """Reset as if it were forced."""
        yield from super().reset_card(card, True)  # type: ignore[misc]


MUTANT = Mutant(
    name="ResetsCardInUse",
    title="a card is reset under contexts that are attached",
    platforms=BOTH_PLATFORMS,
    killed_by=("resets_are_refused",),
    component="driver",
    override=ResetsCardInUse,
)
