"""Detach: an application closes its context; a mapping that is left keeps the context alive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._targets import every_fd
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class Detach(Event):
    """Close `fd`."""

    weight: ClassVar[int] = 25

    fd: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any open file descriptor."""
        return every_fd(sketch)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls(target[1])

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One close."""
        return (Request(Verb.CLOSE, {"fd": self.fd}),)

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """The descriptor is gone; what a mapping keeps alive is not drawn upon."""
        return sketch.without_fd(self.fd)
