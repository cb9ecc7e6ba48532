"""HangAfu: an AFU hangs, and commands for its process elements never finish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._requests import inject
from harness.events._targets import afus_of, sibling_afus
from harness.vocab.event import Chooser, Event, Fate, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class HangAfu(Event):
    """Hang `afu`; it is noticed when an attach or a detach times out."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.ERROR
    fate: ClassVar[Fate] = Fate.HIDDEN
    needs: ClassVar[frozenset[str]] = frozenset({"hardware-console"})
    weight: ClassVar[int] = 8

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
        return (inject("hang_afu", afu=self.afu),)

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All AFUs of the card: the card is recovered as a whole."""
        return sibling_afus(topology, self.afu)
