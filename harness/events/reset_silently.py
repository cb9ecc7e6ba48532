"""ResetSilently: PHYP resets a card and tells nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.events._requests import inject
from harness.events._targets import OnCard
from harness.vocab.event import Fate, Role
from harness.vocab.request import Request
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class ResetSilently(OnCard):
    """Let PHYP reset `card` without a notification."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERVM})
    role: ClassVar[Role] = Role.ERROR
    fate: ClassVar[Fate] = Fate.HIDDEN
    needs: ClassVar[frozenset[str]] = frozenset({"phyp-console"})
    weight: ClassVar[int] = 10

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One injection."""
        return (inject("phyp_silent_reset", card=self.card),)
