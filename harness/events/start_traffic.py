"""StartTraffic: a process keeps a PCI device without CAPI busy, and looks at everything that it gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._devices import AWAY, BUSY, DEVICES, NATIVE, traffic
from harness.events._requests import between
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Subject, Topology

FOR_MS = 120_000
"""Longer than a recovery takes; StopTraffic ends it earlier."""
_MOST_MS = 600_000


@dataclass(frozen=True)
class StartTraffic(Event):
    """Read known blocks, or have frames echoed, for `for_ms` or until it is stopped."""

    platforms: ClassVar[frozenset[Platform]] = NATIVE
    subjects: ClassVar[frozenset[Subject]] = DEVICES
    weight: ClassVar[int] = 20

    device: str
    for_ms: int = field(metadata=between(1, _MOST_MS))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Actors with nothing to do, and devices that are there and that nobody keeps busy."""
        workers = {actor for name, actor in sketch.settings if name.startswith(BUSY)}
        idle = [actor for actor in sketch.actors if actor not in workers]
        free = [
            device.name
            for device in topology.devices
            if not sketch.setting(AWAY + device.name) and not sketch.setting(BUSY + device.name)
        ]
        return [(actor, name) for name in free for actor in idle[:1]]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Until it is stopped."""
        return cls(target[1], FOR_MS)

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One request, which lasts."""
        return (traffic(topology.device(self.device), self.for_ms),)

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """The actor is at work."""
        return sketch.with_setting(BUSY + self.device, actor)
