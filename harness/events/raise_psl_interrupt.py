"""RaisePslInterrupt: a card raises its error interrupt though nothing is frozen, and the driver says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.events._requests import inject
from harness.events._targets import OnCard
from harness.vocab.event import Role
from harness.vocab.request import Request
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class RaisePslInterrupt(OnCard):
    """Raise the error interrupt of the PSL of `card`."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.ERROR
    needs: ClassVar[frozenset[str]] = frozenset({"psl-interrupts"})
    weight: ClassVar[int] = 1

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One injection."""
        return (inject("psl_interrupt", card=self.card),)
