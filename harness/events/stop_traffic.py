"""StopTraffic: an actor's traffic through a device ends after the request that is under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._devices import BUSY, DEVICES, NATIVE
from harness.vocab.event import NEMESIS, Chooser, Event, Role, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Subject, Topology


@dataclass(frozen=True)
class StopTraffic(Event):
    """Tell `actor` to end its traffic."""

    platforms: ClassVar[frozenset[Platform]] = NATIVE
    subjects: ClassVar[frozenset[Subject]] = DEVICES
    role: ClassVar[Role] = Role.CONTROL
    weight: ClassVar[int] = 3

    actor: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Actors that keep a device busy."""
        return [(NEMESIS, actor) for name, actor in sketch.settings if name.startswith(BUSY) and actor]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls(target[1])

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One request; it does not wait for the end of the traffic."""
        return (Request(Verb.STOP, {"actor": self.actor}),)

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """The actor is idle."""
        for name, worker in sketch.settings:
            if name.startswith(BUSY) and worker == self.actor:
                sketch = sketch.with_setting(name, "")
        return sketch
