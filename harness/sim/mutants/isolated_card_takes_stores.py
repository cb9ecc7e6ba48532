"""A device that is isolated still takes stores."""

from __future__ import annotations

from harness.sim.card import AfuHardware, CardHardware
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class _LeakyAfu(AfuHardware):
    def is_reached(self, number: int, access: str) -> bool:
        return super().is_reached(number, access) or access == "store"


class IsolatedCardTakesStores(CardHardware):
    """The defect: isolation drops loads and lets stores through."""

    afu_class = _LeakyAfu


MUTANT = Mutant(
    name="IsolatedCardTakesStores",
    title="isolation drops loads and lets stores through",
    platforms=BOTH_PLATFORMS,
    killed_by=("stores_are_ignored",),
    component="card",
    override=IsolatedCardTakesStores,
)
