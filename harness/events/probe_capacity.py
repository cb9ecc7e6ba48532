"""ProbeCapacity: an AFU is asked for all the contexts that it has, at once; what leaked is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Self

from harness.events._requests import START_WORK_ERR_FF, start_work
from harness.vocab.event import PROBE, Chooser, Event, Role, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Afu, Topology

_WED = 0xCA9A << 48


@dataclass(frozen=True)
class ProbeCapacity(Event):
    """Open and attach as many contexts of `afu` as it has, one after the other, then close them all."""

    role: ClassVar[Role] = Role.CLOSING

    afu: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Every AFU."""
        return [(PROBE, afu.name) for afu in topology.afus]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls(target[1])

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """Pairs of open and attach, then closes that run whatever came before."""
        return _fill(topology.afu(self.afu))


@lru_cache(maxsize=256)
def _fill(afu: Afu) -> tuple[Request, ...]:
    fds = [f"capacity.{afu.name}.{index}" for index in range(afu.contexts_max)]
    path = afu.node(afu.kinds[-1])
    taken: list[Request] = []
    for index, fd in enumerate(fds, start=1):
        taken += (
            Request(Verb.OPEN, {"fd": fd, "path": path}),
            start_work(fd, {"flags": START_WORK_ERR_FF, "wed": _WED | index}),
        )
    return (*taken, *(Request(Verb.CLOSE, {"fd": fd}, is_always=True) for fd in fds))
