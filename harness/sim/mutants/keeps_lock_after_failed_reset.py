"""A reset that PHYP refuses leaves the card locked (kin of ef6cb5f1a048)."""

from __future__ import annotations

from harness.sim.driver.context import DriverCard
from harness.sim.driver.guest import GuestDriver
from harness.sim.machine import SystemCallError
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class KeepsLockAfterFailedReset(GuestDriver):
    """The defect: nobody can attach after a reset of the card that failed."""

    def reset_card(self, card: DriverCard, is_forced: bool) -> Flow:
        """Reset, and unlock when that has worked."""
        try:
            yield from super().reset_card(card, is_forced)
        except SystemCallError as error:
            card.is_locked = error.errno == "EIO"
            raise


MUTANT = Mutant(
    name="KeepsLockAfterFailedReset",
    title="nobody can attach after a reset of the card that failed",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("availability_returns",),
    component="driver",
    override=KeepsLockAfterFailedReset,
)
