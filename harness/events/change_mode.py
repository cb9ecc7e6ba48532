"""ChangeMode: an administrator changes the mode of an AFU; refused as long as it has contexts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._beliefs import MODE
from harness.events._requests import cxl_path, one_of, write_file
from harness.events._targets import OnAfu
from harness.vocab.event import Chooser, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Mode, Topology

NO_MODE = "none"


@dataclass(frozen=True)
class ChangeMode(OnAfu):
    """Write `mode` to the mode file of `afu`."""

    role: ClassVar[Role] = Role.CONTROL
    weight: ClassVar[int] = 4

    mode: str = field(metadata=one_of(*(mode.value for mode in Mode), NO_MODE))

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """A mode that the AFU has, or none."""
        modes = tuple(mode.value for mode in topology.afu(target[1]).modes)
        return cls(target[1], choose.pick((*modes, NO_MODE)))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write."""
        return write_file(cxl_path(self.afu, "mode"), self.mode)

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """The mode may have changed."""
        return sketch.with_setting(MODE + self.afu, self.mode)
