"""HoldHcall: PHYP keeps whoever calls next inside an hcall, so that others act in the middle of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._holding import HOLD_POINTS, at, points
from harness.events._requests import between, inject, one_of
from harness.vocab.event import Chooser, Event, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology

_MOST_MS = 8_000
_LENGTHS_MS = (20, 200, 1_000, 4_000)


@dataclass(frozen=True)
class HoldHcall(Event):
    """Hold the next call at the hold point `point` for `for_ms`, unless it is released before."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERVM})
    role: ClassVar[Role] = Role.CONTROL
    needs: ClassVar[frozenset[str]] = frozenset({"hold-points"})
    weight: ClassVar[int] = 8

    point: str = field(metadata=one_of(*HOLD_POINTS))
    for_ms: int = field(metadata=between(1, _MOST_MS))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any of the hold points."""
        return points()

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """From hardly noticed to longer than a poll period."""
        return cls(target[1], choose.pick(_LENGTHS_MS))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One injection."""
        return (inject("phyp_hold", **at(self.point), for_ms=self.for_ms),)

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All AFUs: whoever calls next is held."""
        return frozenset(afu.name for afu in topology.afus)
