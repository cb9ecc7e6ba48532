"""The device forgets nothing: what an error has cut off goes on when the error is over."""

from __future__ import annotations

from harness.sim.card import AfuHardware, CardHardware
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class _HardyAfu(AfuHardware):
    def kill_elements(self) -> None:
        pass


class RevivesProcessElements(CardHardware):
    """The defect: process elements survive isolation."""

    afu_class = _HardyAfu


MUTANT = Mutant(
    name="RevivesProcessElements",
    title="process elements survive isolation",
    platforms=BOTH_PLATFORMS,
    killed_by=("loads_give_all_ones", "stores_are_ignored"),
    component="card",
    override=RevivesProcessElements,
)
