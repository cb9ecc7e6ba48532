"""An isolated device answers, with zeros (as the loads of 0712dc7e73e5 did)."""

from __future__ import annotations

from harness.sim.card import AfuHardware, CardHardware
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class _QuietAfu(AfuHardware):
    def load(self, number: int, offset: int, width_bytes: int) -> int:
        return super().load(number, offset, width_bytes) if self.is_reached(number, "load") else 0


class AnswersZerosWhenIsolated(CardHardware):
    """The defect: loads from an isolated device give 0, not all Fs."""

    afu_class = _QuietAfu


MUTANT = Mutant(
    name="AnswersZerosWhenIsolated",
    title="loads from an isolated device give 0, not all Fs",
    platforms=BOTH_PLATFORMS,
    killed_by=("loads_give_all_ones",),
    component="card",
    override=AnswersZerosWhenIsolated,
)
