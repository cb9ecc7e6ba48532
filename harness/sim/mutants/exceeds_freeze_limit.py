"""EEH counts the failures of a device and draws no conclusion."""

from __future__ import annotations

from harness.sim.eeh import EehPe
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class ExceedsFreezeLimit:
    """The defect: a device that fails too often is recovered once more."""

    def is_over_limit(self, eeh_pe: EehPe) -> bool:
        """Never."""
        return False


MUTANT = Mutant(
    name="ExceedsFreezeLimit",
    title="a device that fails too often is recovered once more",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("freeze_limit_holds",),
    component="eeh",
    override=ExceedsFreezeLimit,
)
