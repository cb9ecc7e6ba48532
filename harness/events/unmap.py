"""Unmap: an application gives its mapping back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._beliefs import changed, remapped
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class Unmap(Event):
    """Unmap `map`."""

    weight: ClassVar[int] = 6

    map: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Owners of a mapping."""
        return [(c.actor, c.map_name) for c in sketch.contexts if c.is_mapped]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls(target[1])

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One munmap."""
        return (Request(Verb.MUNMAP, {"map": self.map}),)

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """The context lives on without a mapping."""
        contexts = tuple(
            remapped(c, is_mapped=False) if c.map_name == self.map else c for c in sketch.contexts
        )
        return changed(sketch, contexts)
