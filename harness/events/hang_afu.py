"""HangAfu: an AFU hangs, and commands for its process elements never finish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.events._requests import inject
from harness.events._targets import OnAfu, sibling_afus
from harness.vocab.event import Fate, Role
from harness.vocab.request import Request
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class HangAfu(OnAfu):
    """Hang `afu`; it is noticed when an attach or a detach times out."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.ERROR
    fate: ClassVar[Fate] = Fate.HIDDEN
    needs: ClassVar[frozenset[str]] = frozenset({"hardware-console"})
    weight: ClassVar[int] = 8

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One injection."""
        return (inject("hang_afu", afu=self.afu),)

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All AFUs of the card: the card is recovered as a whole."""
        return sibling_afus(topology, self.afu)
