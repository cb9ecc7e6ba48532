"""The bridge keeps stores that it cannot deliver, and delivers them after the reset."""

from __future__ import annotations

from harness.sim.card import AfuHardware, CardHardware
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class _BufferingAfu(AfuHardware):
    def __init__(self, name: str, card: CardHardware) -> None:
        super().__init__(name, card)
        self.kept: list[tuple[int, int, int, int]] = []

    def store(self, number: int, offset: int, width_bytes: int, value: int) -> None:
        if self.card.is_frozen or self.is_isolated:
            self.kept.append((number, offset, width_bytes, value))
        super().store(number, offset, width_bytes, value)

    def reset(self) -> None:
        super().reset()
        kept, self.kept = self.kept, []
        self.is_isolated = False
        for late in kept:
            self.store(*late)


class ReplaysStores(CardHardware):
    """The defect: stores into an isolated device arrive when it is back."""

    afu_class = _BufferingAfu


MUTANT = Mutant(
    name="ReplaysStores",
    title="stores into an isolated device arrive when it is back",
    platforms=BOTH_PLATFORMS,
    killed_by=("stores_are_ignored",),
    component="card",
    override=ReplaysStores,
)
