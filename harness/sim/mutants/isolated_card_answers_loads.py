"""A frozen device still answers."""

from __future__ import annotations

from harness.sim.card import AfuHardware, CardHardware
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class _TalkativeAfu(AfuHardware):
    def is_reached(self, number: int, access: str) -> bool:
        is_reached = super().is_reached(number, access)
        self.accesses = getattr(self, "accesses", 0) + (not is_reached)
        return is_reached or (access == "load" and self.accesses % 3 == 0)


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
