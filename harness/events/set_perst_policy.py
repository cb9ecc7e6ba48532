"""SetPerstPolicy: an administrator says whether resets reload the same image, and so how EEH recovers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._beliefs import PERST
from harness.events._requests import cxl_path, write_file
from harness.events._targets import OnCard
from harness.vocab.event import Chooser, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class SetPerstPolicy(OnCard):
    """With `same_image` a recovery resets the card and keeps it; without, it is unplugged and probed anew."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.CONTROL
    weight: ClassVar[int] = 5

    same_image: bool

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Either policy."""
        return cls(target[1], choose.chance(60))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write."""
        return write_file(cxl_path(self.card, "perst_reloads_same_image"), "1" if self.same_image else "0")

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """The policy is what was written."""
        return sketch.with_setting(PERST + self.card, "1" if self.same_image else "0")

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """A policy disturbs nobody until the next reset."""
        return frozenset()
