"""RecoverCapp: the CAPP recovers, and the link of its card is lost for a moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.events._requests import inject
from harness.events._targets import OnCard
from harness.vocab.event import Fate, Role
from harness.vocab.request import Request
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class RecoverCapp(OnCard):
    """Let the CAPP of `card` recover."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.ERROR
    fate: ClassVar[Fate] = Fate.RECOVERY
    needs: ClassVar[frozenset[str]] = frozenset({"hardware-console"})
    weight: ClassVar[int] = 10

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One injection."""
        return (inject("capp_recovery", card=self.card),)
