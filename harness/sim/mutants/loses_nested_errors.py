"""EEH forgets an error that comes during a recovery."""

from __future__ import annotations

from harness.sim.eeh import EehCore, EehPe
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class LosesNestedErrors(EehCore):
    """The defect: a freeze after the reset ends the recovery without another one."""

    def begin_again(self, eeh_pe: EehPe) -> bool:
        """Confirm it, and leave it at that."""
        super().begin_again(eeh_pe)
        return False


MUTANT = Mutant(
    name="LosesNestedErrors",
    title="a freeze after the reset ends the recovery without another one",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("availability_returns",),
    component="eeh",
    override=LosesNestedErrors,
)
