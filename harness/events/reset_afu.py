"""ResetAfu: an administrator resets one AFU; refused as long as it has contexts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._requests import cxl_path, write_file
from harness.events._targets import afus_of
from harness.vocab.event import Chooser, Event, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class ResetAfu(Event):
    """Write to the reset file of `afu`."""

    role: ClassVar[Role] = Role.CONTROL
    weight: ClassVar[int] = 6

    afu: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any AFU."""
        return afus_of(topology)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls(target[1])

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write; the driver does not look at the text."""
        return write_file(cxl_path(self.afu, "reset"), "1")

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """This AFU only."""
        return frozenset({self.afu})
