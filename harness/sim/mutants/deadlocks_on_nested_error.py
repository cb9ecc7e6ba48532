"""A second error during hotplug takes the device's lock twice (as before 171ed0fcd896)."""

from __future__ import annotations

from harness.sim.eeh import EehCore, EehPe
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class DeadlocksOnNestedError(EehCore):
    """The defect: a freeze after the reset leaves the device's lock held."""

    def recover(self, eeh_pe: EehPe) -> Flow:
        """Recover, and keep the lock when another recovery has to follow."""
        is_needed = yield from super().recover(eeh_pe)
        if is_needed:
            yield from eeh_pe.card.lock.acquire()
        return is_needed


MUTANT = Mutant(
    name="DeadlocksOnNestedError",
    title="a freeze after the reset leaves the device's lock held",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("availability_returns",),
    component="eeh",
    override=DeadlocksOnNestedError,
)
