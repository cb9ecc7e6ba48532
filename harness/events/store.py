"""Store: an application writes a marker that never repeats, so that a store which must not arrive shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._beliefs import changed, map_of
from harness.events._requests import between, one_of
from harness.events._targets import mapped
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.registers import Register
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology

_MARKER = 0xCA91 << 48


@dataclass(frozen=True)
class Store(Event):
    """Store `value` to SCRATCH through `map`, as `width` bytes."""

    weight: ClassVar[int] = 50

    map: str
    value: int = field(metadata=between(1, (1 << 64) - 2))
    width: int = field(default=8, metadata=one_of(8))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Whoever has a mapping."""
        return mapped(sketch)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """The next marker."""
        return cls(map_of(target[1]), _MARKER | sketch.next_marker)

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One store."""
        args = {"map": self.map, "offset": int(Register.SCRATCH), "width": self.width, "value": self.value}
        return (Request(Verb.STORE, args),)

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """The marker is used up."""
        return changed(sketch, sketch.contexts, markers=1)
