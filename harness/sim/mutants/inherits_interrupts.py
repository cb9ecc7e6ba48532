"""A new context gets the interrupts that the last one in its slot left unread (invariant S6)."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from harness.sim.card import AfuHardware
from harness.sim.driver.context import Context, DriverAfu
from harness.sim.driver.fileops import FileOperations
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS

_LEFT: WeakKeyDictionary[AfuHardware, dict[int, list[int]]] = WeakKeyDictionary()


def _left(afu: DriverAfu) -> dict[int, list[int]]:
    """The unread interrupts of each slot of the AFU."""
    return _LEFT.setdefault(afu.hardware, {})


class InheritsInterrupts(FileOperations):
    """The defect: events that were pending on a closed context are read from the next one in its slot."""

    def free(self, context: Context) -> None:
        """Free the memory, and leave the events with the slot."""
        super().free(context)
        _left(context.afu)[context.number] = context.pending_irqs

    def take_interrupts(self, context: Context, irqs: int) -> None:
        """Take lines, and what the slot holds."""
        super().take_interrupts(context, irqs)
        context.pending_irqs = _left(context.afu).pop(context.number, [])


MUTANT = Mutant(
    name="InheritsInterrupts",
    title="events that were pending on a closed context are read from the next one in its slot",
    platforms=BOTH_PLATFORMS,
    killed_by=("interrupts_stay_masked",),
    component="driver",
    override=InheritsInterrupts,
)
