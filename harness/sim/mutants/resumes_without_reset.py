"""EEH says that it has recovered a device, and has not reset it."""

from __future__ import annotations

from harness.sim.eeh import EehCore, EehPe
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class ResumesWithoutReset(EehCore):
    """The defect: eehd skips the reset."""

    def reset_hardware(self, eeh_pe: EehPe) -> None:
        """Thaw, which leaves the process elements dead."""
        eeh_pe.card.hardware.thaw()
        eeh_pe.card.hardware.is_link_down = False
        for afu in eeh_pe.card.afus:
            afu.is_quiesced = False


MUTANT = Mutant(
    name="ResumesWithoutReset",
    title="eehd skips the reset",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("availability_returns",),
    component="eeh",
    override=ResumesWithoutReset,
)
