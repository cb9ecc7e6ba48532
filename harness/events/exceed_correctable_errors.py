"""ExceedCorrectableErrors: so many errors of an AFU are corrected that PHYP takes it for failing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._beliefs import CORRECTED
from harness.events._requests import CORRECTED_MAX, between, inject
from harness.events._targets import OnAfu
from harness.vocab.event import Chooser, Fate, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class ExceedCorrectableErrors(OnAfu):
    """Let `count` errors of `afu` be corrected, more than the threshold."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERVM})
    role: ClassVar[Role] = Role.ERROR
    fate: ClassVar[Fate] = Fate.RECOVERY
    needs: ClassVar[frozenset[str]] = frozenset({"phyp-console"})
    weight: ClassVar[int] = 10

    count: int = field(default=CORRECTED_MAX + 1, metadata=between(CORRECTED_MAX + 1, 100))

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """The least that is too many."""
        return cls(target[1])

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """An injection for each."""
        return (inject("phyp_error", afu=self.afu, severity="correctable"),) * self.count

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """How far the count is from the threshold now is not known: no more harmless ones."""
        return sketch.with_setting(CORRECTED + self.afu, str(CORRECTED_MAX))
