"""AnswerHcall: PHYP answers the next calls of an hcall with busy, or with an error that passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._requests import between, inject, one_of
from harness.vocab.event import NEMESIS, Chooser, Event, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology

_BUSY = (1, 9900, 9901, 9902, 9903)  # H_BUSY, and long busy for 1, 10, 100 and 1000 ms
_REFUSED = (-1, -75, -16)  # H_HARDWARE, H_STATE, H_RESOURCE

# Hcalls that the driver repeats while busy. A refused detach would lose a process element for
# good, with nothing that the driver could do right, and is not asked for.
_ANSWERS: dict[str, tuple[int, ...]] = {
    "H_ATTACH_CA_PROCESS": (*_BUSY, *_REFUSED),
    "H_DETACH_CA_PROCESS": _BUSY,
    "H_CONTROL_CA_FUNCTION": (*_BUSY, *_REFUSED),
    "H_CONTROL_CA_FACILITY": (*_BUSY, *_REFUSED),
}


@dataclass(frozen=True)
class AnswerHcall(Event):
    """Let PHYP answer the next `times` calls of `hcall` with the return code `rc`."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERVM})
    role: ClassVar[Role] = Role.CONTROL
    needs: ClassVar[frozenset[str]] = frozenset({"phyp-console"})
    weight: ClassVar[int] = 8

    hcall: str = field(metadata=one_of(*_ANSWERS))
    rc: int = field(metadata=one_of(*_BUSY, *_REFUSED))
    times: int = field(metadata=between(1, 100))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any of the hcalls."""
        return [(NEMESIS, hcall) for hcall in _ANSWERS]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Mostly a few answers of busy."""
        return cls(target[1], choose.pick(_ANSWERS[target[1]]), choose.integer(1, 3))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One injection."""
        return (inject("phyp_answer", hcall=self.hcall, rc=self.rc, times=self.times),)

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All AFUs: an answer is for whoever calls next."""
        return frozenset(afu.name for afu in topology.afus)
