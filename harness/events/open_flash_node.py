"""OpenFlashNode: somebody opens and closes the flash node of a card, upon which PHYP resets it in silence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.events._targets import OnCard
from harness.vocab.event import Fate, Role
from harness.vocab.request import Request, Verb
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class OpenFlashNode(OnCard):
    """Open and close the node of `card` without a download."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERVM})
    role: ClassVar[Role] = Role.CONTROL
    # A silent reset by hand: nobody is told, and it may stay unnoticed.
    fate: ClassVar[Fate] = Fate.HIDDEN
    weight: ClassVar[int] = 5

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One open and one close."""
        fd = f"{self.card}.flash"
        return (
            Request(Verb.OPEN, {"fd": fd, "path": f"/dev/cxl/{self.card}"}),
            Request(Verb.CLOSE, {"fd": fd}),
        )
