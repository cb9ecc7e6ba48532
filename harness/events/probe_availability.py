"""ProbeAvailability: one context of an AFU is taken through all that a context can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._beliefs import map_of
from harness.events._probing import begin
from harness.events._requests import one_of
from harness.vocab.event import PROBE, Chooser, Event, Role, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Afu, Topology


@dataclass(frozen=True)
class ProbeAvailability(Event):
    """Open the node of `kind` of `afu` as `fd`, attach, map, load, raise and read an interrupt, undo it all.

    Opening and attaching are tried again for a minute, because a recovery may still be going on. A master or
    a dedicated context also reads the log of stores, which outlives resets.
    """

    role: ClassVar[Role] = Role.CLOSING

    afu: str
    kind: str = field(metadata=one_of("m", "s", "d"))
    fd: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Every AFU."""
        return [(PROBE, afu.name) for afu in topology.afus]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Any kind of context that the AFU has."""
        return cls.of(topology.afu(target[1]), choose.pick(topology.afu(target[1]).kinds))

    @classmethod
    def of(cls, afu: Afu, kind: str) -> Self:
        """The probe of `afu` by a context of `kind`, whose name does not collide with an application's."""
        return cls(afu.name, kind, f"probe.{afu.name}{kind}")

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """From open to close; the last two run whatever came before."""
        mapping = map_of(self.fd)
        return (
            *begin(topology.afu(self.afu), self.kind, self.fd),
            Request(Verb.MUNMAP, {"map": mapping}, is_always=True),
            Request(Verb.CLOSE, {"fd": self.fd}, is_always=True),
        )
