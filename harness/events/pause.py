"""Pause: the harness lets time pass, for a recovery that nobody can be asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._requests import between
from harness.vocab.event import HARNESS, Chooser, Event, Role, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class Pause(Event):
    """Hold everything back for `ms`."""

    role: ClassVar[Role] = Role.CLOSING

    ms: int = field(metadata=between(0, 600_000))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """At any time."""
        return ((HARNESS, "time"),)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """A moment, or about the period of the driver's check."""
        return cls(choose.pick((10, 1000, max(topology.poll_period_ms, 100))))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One sleep."""
        return (Request(Verb.SLEEP, {"ms": self.ms}),)
