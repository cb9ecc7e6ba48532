"""ExitActor: a process ends without closing anything; the kernel closes it all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.vocab.event import Chooser, Event, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class ExitActor(Event):
    """The actor exits."""

    weight: ClassVar[int] = 5

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any actor but the last."""
        return [(actor, actor) for actor in sketch.actors] if len(sketch.actors) > 1 else ()

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls()

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One exit."""
        return (Request(Verb.EXIT),)

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """The actor and all its contexts are gone."""
        return sketch.without_actor(actor)
