"""ReadEvent: an application waits for one event of its context, perhaps for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from harness.events._requests import between
from harness.events._targets import every_fd
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology

FOR_EVER = 0
_TIMEOUTS_MS = (FOR_EVER, 10, 100, 1000, 5000)


@dataclass(frozen=True)
class ReadEvent(Event):
    """Read one event of `fd` within `timeout_ms`; 0 waits for ever, so that only a wake-up ends it."""

    weight: ClassVar[int] = 25

    fd: str
    timeout_ms: int = field(metadata=between(FOR_EVER, 600_000))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any open file descriptor."""
        return every_fd(sketch)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """For ever, or for a time below, at or above the length of a recovery."""
        return cls(target[1], choose.pick(_TIMEOUTS_MS))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One read."""
        args: dict[str, Any] = {"fd": self.fd}
        if self.timeout_ms != FOR_EVER:
            args["timeout_ms"] = self.timeout_ms
        return (Request(Verb.READ, args),)
