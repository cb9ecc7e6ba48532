"""A device that is isolated still answers loads."""

from __future__ import annotations

from harness.sim.card import AfuHardware, CardHardware
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class _TalkativeAfu(AfuHardware):
    unreached = 0  # accesses that isolation should have stopped

    def is_reached(self, number: int, access: str) -> bool:
        if super().is_reached(number, access):
            return True
        self.unreached += 1
        return access == "load" and self.unreached % 3 == 0


class IsolatedCardAnswersLoads(CardHardware):
    """The defect: isolation lets loads through now and then."""

    afu_class = _TalkativeAfu


MUTANT = Mutant(
    name="IsolatedCardAnswersLoads",
    title="isolation lets loads through now and then",
    platforms=BOTH_PLATFORMS,
    killed_by=("loads_give_all_ones",),
    component="card",
    override=IsolatedCardAnswersLoads,
)
