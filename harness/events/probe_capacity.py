"""ProbeCapacity: an AFU is asked for all the contexts that it has, at once; what leaked is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Self

from harness.events._beliefs import map_of
from harness.events._probing import begin
from harness.events._requests import START_WORK_ERR_FF, start_work
from harness.vocab.event import PROBE, Chooser, Event, Role, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Afu, Topology

_WED = 0xCA9A << 48


@dataclass(frozen=True)
class ProbeCapacity(Event):
    """Open and attach as many contexts of `afu` as it has, one after the other, then close them all.

    The first, a master where there are masters, is taken through all that a context can do.
    """

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
        """From the first open to closes that run whatever came before."""
        return _fill(topology.afu(self.afu))


@lru_cache(maxsize=256)
def _fill(afu: Afu) -> tuple[Request, ...]:
    first, *others = [f"capacity.{afu.name}.{index}" for index in range(afu.contexts_max)]
    taken = [*begin(afu, afu.kinds[0], first)]
    for index, fd in enumerate(others, start=1):
        taken += (
            Request(Verb.OPEN, {"fd": fd, "path": afu.node(afu.kinds[-1])}),
            start_work(fd, {"flags": START_WORK_ERR_FF, "wed": _WED | index}),
        )
    unmap = Request(Verb.MUNMAP, {"map": map_of(first)}, is_always=True)
    return (*taken, unmap, *(Request(Verb.CLOSE, {"fd": fd}, is_always=True) for fd in (first, *others)))
