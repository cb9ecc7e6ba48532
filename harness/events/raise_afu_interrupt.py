"""RaiseAfuInterrupt: an application makes its context on the AFU raise one of its interrupts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._beliefs import context, map_of
from harness.events._requests import IRQS_MAX, between, store_command
from harness.events._targets import mapped
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.registers import Command
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class RaiseAfuInterrupt(Event):
    """Raise interrupt `irq`, counted from 1 within the context that is mapped as `map`."""

    weight: ClassVar[int] = 25

    map: str
    irq: int = field(metadata=between(1, IRQS_MAX))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Whoever has a mapping."""
        return mapped(sketch)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """One of the interrupts that the context has."""
        belief = context(sketch, target[1])
        irqs = (belief.irqs or topology.afu(belief.afu).irqs_min) if belief else 1
        return cls(map_of(target[1]), choose.integer(1, max(irqs, 1)))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One store of a command."""
        return (store_command(self.map, Command.RAISE_INTERRUPT, self.irq),)
