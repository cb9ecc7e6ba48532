"""ReadErrorBuffer: an application or a monitor reads the AFU's own error buffer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._requests import cxl_path
from harness.events._targets import actors_with
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class ReadErrorBuffer(Event):
    """Read the error buffer of `afu`."""

    weight: ClassVar[int] = 4

    afu: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any actor, on any AFU."""
        return actors_with(sketch, [afu.name for card in topology.cards for afu in card.afus])

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls(target[1])

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One read of a file, which an AFU without such a buffer lacks."""
        return (Request(Verb.READ_FILE, {"path": cxl_path(self.afu, "afu_err_buff")}),)
