"""Map: an application maps the problem state area of an attached context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._beliefs import changed, map_of, remapped
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import ContextBelief, Sketch
from harness.vocab.topology import Topology

LENGTH_BYTES = 4096


@dataclass(frozen=True)
class Map(Event):
    """Map the first page of `fd` under the name `map`."""

    weight: ClassVar[int] = 60

    fd: str
    map: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Attached contexts without a mapping, on AFUs whose registers are known to be safe to touch."""
        return [
            (c.actor, c.fd)
            for c in sketch.contexts
            if c.belief is ContextBelief.STARTED
            and not c.is_mapped
            and c.kind in topology.afu(c.afu).kinds_with_registers
        ]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls(target[1], map_of(target[1]))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One mmap."""
        return (Request(Verb.MMAP, {"fd": self.fd, "map": self.map, "length": LENGTH_BYTES}),)

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """The context has its mapping."""
        contexts = tuple(remapped(c, is_mapped=True) if c.fd == self.fd else c for c in sketch.contexts)
        return changed(sketch, contexts)
