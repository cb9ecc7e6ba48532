"""RaiseCorrectableError: PHYP corrects errors of an AFU, fewer than it takes to count as a failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._beliefs import CORRECTED
from harness.events._requests import CORRECTED_MAX, between, inject
from harness.events._targets import afus_of
from harness.vocab.event import Chooser, Event, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class RaiseCorrectableError(Event):
    """Let `count` errors of `afu` be corrected."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERVM})
    role: ClassVar[Role] = Role.ERROR
    needs: ClassVar[frozenset[str]] = frozenset({"phyp-console"})
    weight: ClassVar[int] = 6

    afu: str
    count: int = field(metadata=between(1, CORRECTED_MAX))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """AFUs with room for one more below the threshold: together they must stay harmless."""
        return [t for t in afus_of(topology) if int(sketch.setting(CORRECTED + t[1], "0")) < CORRECTED_MAX]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """As many as there is room for, or fewer."""
        so_far = int(sketch.setting(CORRECTED + target[1], "0"))
        return cls(target[1], choose.integer(1, CORRECTED_MAX - so_far))

    def fits(self, sketch: Sketch) -> bool:
        """One that reaches the threshold is no harmless one."""
        return int(sketch.setting(CORRECTED + self.afu, "0")) + self.count <= CORRECTED_MAX

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """An injection for each."""
        return (inject("phyp_error", afu=self.afu, severity="correctable"),) * self.count

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """There is less room below the threshold."""
        so_far = int(sketch.setting(CORRECTED + self.afu, "0"))
        return sketch.with_setting(CORRECTED + self.afu, str(so_far + self.count))
