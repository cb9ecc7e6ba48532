"""TouchUnmappedMemory: the AFU touches memory that its process lacks: a fault that ends in an event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._beliefs import map_of
from harness.events._requests import store_command
from harness.events._targets import mapped
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.registers import Command
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology

_NOWHERE = 0xDEAD_0000_0000


@dataclass(frozen=True)
class TouchUnmappedMemory(Event):
    """Make the AFU touch an address that no process has, through the context that is mapped as `map`."""

    weight: ClassVar[int] = 10

    map: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Whoever has a mapping."""
        return mapped(sketch)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls(map_of(target[1]))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One store of a command."""
        return (store_command(self.map, Command.TOUCH_UNMAPPED, _NOWHERE),)
