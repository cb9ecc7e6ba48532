"""PollEvents: an application polls its context for events or an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._requests import between
from harness.events._targets import every_fd
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology

_TIMEOUTS_MS = (0, 10, 1000, 5000)


@dataclass(frozen=True)
class PollEvents(Event):
    """Poll `fd` for at most `timeout_ms`; 0 only looks."""

    weight: ClassVar[int] = 12

    fd: str
    timeout_ms: int = field(metadata=between(0, 600_000))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any open file descriptor."""
        return every_fd(sketch)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """A look, or a time below or above the length of a recovery."""
        return cls(target[1], choose.pick(_TIMEOUTS_MS))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One poll."""
        return (Request(Verb.POLL, {"fd": self.fd, "timeout_ms": self.timeout_ms}),)
