"""Fork: a process has a child, which holds its contexts and mappings too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from harness.events._beliefs import HEIR
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology

_ACTORS_MAX = 6


@dataclass(frozen=True)
class Fork(Event):
    """Fork; the child is the actor called `child`."""

    weight: ClassVar[int] = 5

    child: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Owners of a mapping, as long as a case has few actors."""
        if sketch.next_actor >= _ACTORS_MAX:
            return ()
        return [(c.actor, f"a{sketch.next_actor}") for c in sketch.contexts if c.is_mapped]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls(target[1])

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One fork."""
        return (Request(Verb.FORK, {"child": self.child}),)

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """One actor more, who can use the mappings that the parent has now."""
        mapped = " ".join(c.fd for c in sketch.contexts if c.actor == actor and c.is_mapped)
        grown = replace(sketch, actors=(*sketch.actors, self.child), next_actor=sketch.next_actor + 1)
        return grown.with_setting(HEIR + self.child, mapped)
