"""AttachInvalid: START_WORK with arguments that the driver must refuse, in every state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._requests import START_WORK_NUM_IRQS, START_WORK_UNKNOWN_FLAG, one_of, start_work
from harness.events._targets import every_fd
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology

_WED = 0xBAD << 48
_FIELDS: dict[str, dict[str, int]] = {
    "flags": {"flags": START_WORK_UNKNOWN_FLAG, "wed": _WED},
    "reserved": {"flags": 0, "wed": _WED, "reserved2": 1},
    "irqs": {"flags": START_WORK_NUM_IRQS, "wed": _WED, "num_interrupts": 0x7FFF},
}


@dataclass(frozen=True)
class AttachInvalid(Event):
    """Ask to attach `fd` with an unknown flag, a reserved field that is not zero, or too many interrupts."""

    weight: ClassVar[int] = 6

    fd: str
    how: str = field(metadata=one_of(*_FIELDS))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any open file descriptor."""
        return every_fd(sketch)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Any of the ways."""
        return cls(target[1], choose.pick(tuple(_FIELDS)))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One ioctl."""
        return (start_work(self.fd, _FIELDS[self.how]),)
