"""Load: an application reads a register of the AFU, once or many times in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._beliefs import map_of
from harness.events._requests import between, one_of
from harness.events._targets import mapped
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.registers import Register
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology

# ALL_ONES holds all Fs on a healthy device: reading it must not start a recovery. What a load of COMMAND
# gives is not defined.
_REGISTERS = ("WED", "SCRATCH", "STATUS", "ALL_ONES", "STORE_LOG")
_COUNTS = (1, 2, 10, 50)


@dataclass(frozen=True)
class Load(Event):
    """Load `register` through `map`, `count` times, `width` bytes each."""

    weight: ClassVar[int] = 60

    map: str
    register: str = field(metadata=one_of(*(register.name for register in Register)))
    width: int = field(metadata=one_of(4, 8))
    count: int = field(metadata=between(1, 1_000_000))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Whoever has a mapping."""
        return mapped(sketch)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Mostly eight bytes of a register that cannot hold all Fs on a healthy device."""
        register = choose.weighted(_REGISTERS, (10, 4, 3, 2, 1))
        return cls(map_of(target[1]), register, 4 if choose.chance(20) else 8, choose.pick(_COUNTS))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One load."""
        args = {
            "map": self.map,
            "offset": int(Register[self.register]),
            "width": self.width,
            "count": self.count,
        }
        return (Request(Verb.LOAD, args),)
