"""RewriteMode: an AFU is given the mode that it should have; refused if a context was left behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._requests import cxl_path, write_file
from harness.vocab.event import PROBE, Chooser, Event, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class RewriteMode(Event):
    """Write to `afu` the mode that the driver itself prefers: directed, else dedicated."""

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
        """One write."""
        return write_file(cxl_path(self.afu, "mode"), topology.afu(self.afu).mode.value)
