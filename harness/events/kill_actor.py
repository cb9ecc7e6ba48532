"""KillActor: a process is killed, whatever it is doing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.vocab.event import NEMESIS, Chooser, Event, Role, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class KillActor(Event):
    """Send SIGKILL to `actor`."""

    role: ClassVar[Role] = Role.CONTROL
    weight: ClassVar[int] = 12

    actor: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Owners of contexts, but never the last actor."""
        if len(sketch.actors) < 2:
            return ()
        owners = {c.actor: None for c in sketch.contexts}
        return [(NEMESIS, actor) for actor in owners]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls(target[1])

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One kill."""
        return (Request(Verb.KILL, {"actor": self.actor}),)

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """The actor and all its contexts are gone."""
        return sketch.without_actor(self.actor)
