"""Await: the harness waits until actors have finished what they were given. (``await`` is a keyword.)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._requests import between
from harness.vocab.event import HARNESS, Chooser, Event, Role, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology

ALL = "all"


@dataclass(frozen=True)
class Await(Event):
    """Hold everything back until `actors` (one name, or ``all``) are idle, for at most `timeout_ms`.

    With `interrupt` those that are still blocked then are interrupted, and triggers that wait are given up.
    """

    role: ClassVar[Role] = Role.CLOSING
    weight: ClassVar[int] = 25

    actors: str
    timeout_ms: int = field(metadata=between(0, 600_000))
    interrupt: bool

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """All actors, or any one."""
        return [(HARNESS, ALL), *((HARNESS, actor) for actor in sketch.actors)]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """A time below or above the length of a recovery."""
        return cls(target[1], choose.pick((1000, 50, 5000)), choose.chance(25))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One wait."""
        actors = ALL if self.actors == ALL else [self.actors]
        args = {"actors": actors, "timeout_ms": self.timeout_ms, "interrupt": self.interrupt}
        return (Request(Verb.WAIT, args),)
