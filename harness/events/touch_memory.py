"""TouchMemory: the AFU touches memory that its process has: a translation fault that resolves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._beliefs import map_of
from harness.events._requests import between, store_command
from harness.events._targets import mapped
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.registers import Command
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology

_PAGES = (0x1000_0000, 0x1001_0000, 0x1002_0000)


@dataclass(frozen=True)
class TouchMemory(Event):
    """Make the AFU touch `address` through the context that is mapped as `map`."""

    weight: ClassVar[int] = 12

    map: str
    address: int = field(metadata=between(0, (1 << 56) - 1))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Whoever has a mapping."""
        return mapped(sketch)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """One of a few pages, so that two contexts meet."""
        return cls(map_of(target[1]), choose.pick(_PAGES))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One store of a command."""
        return (store_command(self.map, Command.TOUCH_MEMORY, self.address),)
