"""Attach: START_WORK, which gives a context to the AFU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._beliefs import attached, changed, context
from harness.events._requests import IRQS_MAX, START_WORK_ERR_FF, START_WORK_NUM_IRQS, between, start_work
from harness.events._targets import opened
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology

DEFAULT_IRQS = -1
_WED = 0x5EED << 48


@dataclass(frozen=True)
class Attach(Event):
    """Attach `fd` with the work element descriptor `wed`.

    `err_ff` asks for loads of all Fs, not SIGBUS, once the context is dead. `irqs` is the number of AFU
    interrupts, or -1 for the driver's default.
    """

    weight: ClassVar[int] = 60

    fd: str
    err_ff: bool
    irqs: int = field(metadata=between(DEFAULT_IRQS, IRQS_MAX))
    wed: int = field(metadata=between(1, (1 << 64) - 2))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Contexts that are open and not attached."""
        return opened(sketch)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Mostly with ERR_FF, and half the time with a number of interrupts near a bound of the AFU."""
        irqs = DEFAULT_IRQS
        belief = context(sketch, target[1])
        if belief and choose.chance(50):
            afu = topology.afu(belief.afu)
            irqs = choose.pick((afu.irqs_min, min(afu.irqs_min + 1, afu.irqs_max), afu.irqs_max))
        return cls(target[1], not choose.chance(20), irqs, _WED | sketch.next_marker)

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One ioctl."""
        fields = {"flags": START_WORK_ERR_FF if self.err_ff else 0, "wed": self.wed}
        if self.irqs != DEFAULT_IRQS:
            fields["flags"] |= START_WORK_NUM_IRQS
            fields["num_interrupts"] = self.irqs
        return (start_work(self.fd, fields),)

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """The context is attached."""
        irqs = max(self.irqs, 0)
        contexts = tuple(attached(c, self.err_ff, irqs) if c.fd == self.fd else c for c in sketch.contexts)
        return changed(sketch, contexts, markers=1)
