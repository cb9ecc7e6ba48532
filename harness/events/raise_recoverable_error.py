"""RaiseRecoverableError: PHYP disables an AFU because of an error that a reset heals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.events._requests import inject
from harness.events._targets import OnAfu
from harness.vocab.event import Fate, Role
from harness.vocab.request import Request
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class RaiseRecoverableError(OnAfu):
    """A recoverable hardware error of `afu`."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERVM})
    role: ClassVar[Role] = Role.ERROR
    fate: ClassVar[Fate] = Fate.RECOVERY
    needs: ClassVar[frozenset[str]] = frozenset({"phyp-console"})
    weight: ClassVar[int] = 30

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One injection."""
        return (inject("phyp_error", afu=self.afu, severity="recoverable"),)
