"""CauseAfuError: the AFU reports an error of its own, which is one context's affair."""

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


@dataclass(frozen=True)
class CauseAfuError(Event):
    """Make the AFU raise an AFU error event with number `error` in the context that is mapped as `map`."""

    weight: ClassVar[int] = 10

    map: str
    error: int = field(metadata=between(1, (1 << 56) - 1))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Whoever has a mapping."""
        return mapped(sketch)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Any small error number."""
        return cls(map_of(target[1]), choose.integer(1, 255))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One store of a command."""
        return (store_command(self.map, Command.AFU_ERROR, self.error),)
