"""RaiseRecoverableError: PHYP disables an AFU because of an error that a reset heals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._requests import inject
from harness.events._targets import afus_of
from harness.vocab.event import Chooser, Event, Fate, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class RaiseRecoverableError(Event):
    """A recoverable hardware error of `afu`."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERVM})
    role: ClassVar[Role] = Role.ERROR
    fate: ClassVar[Fate] = Fate.RECOVERY
    needs: ClassVar[frozenset[str]] = frozenset({"phyp-console"})
    weight: ClassVar[int] = 30

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
        """One injection."""
        return (inject("phyp_error", afu=self.afu, severity="recoverable"),)

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """This AFU only."""
        return frozenset({self.afu})
