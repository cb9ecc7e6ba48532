"""Open: an application opens a device node of an AFU and gets a context, not yet attached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._beliefs import changed
from harness.events._requests import one_of
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import ContextSketch, Sketch
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class Open(Event):
    """Open the node of `kind` (master, slave or dedicated) of `afu` as `fd`."""

    weight: ClassVar[int] = 60

    fd: str
    afu: str
    kind: str = field(metadata=one_of("m", "s", "d"))
    nonblock: bool = False

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any actor, on an AFU that is believed to have a context left."""
        taken = [context.afu for context in sketch.contexts]
        return [
            (actor, afu.name)
            for card in topology.cards
            for afu in card.afus
            if taken.count(afu.name) < afu.contexts_max
            for actor in sketch.actors
        ]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Mostly a slave context where there are slaves, and blocking."""
        afu = topology.afu(target[1])
        kind = ("m" if choose.chance(25) else "s") if afu.is_directed else "d"
        return cls(f"c{sketch.next_fd}", afu.name, kind, choose.chance(20))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One open."""
        args = {"fd": self.fd, "path": topology.afu(self.afu).node(self.kind)}
        return (Request(Verb.OPEN, {**args, "nonblock": True} if self.nonblock else args),)

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """A context more, not attached."""
        context = ContextSketch(self.fd, actor, self.afu, self.kind)
        return changed(sketch, (*sketch.contexts, context), fds=1)
