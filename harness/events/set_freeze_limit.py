"""SetFreezeLimit: an administrator sets after how many freezes in an hour an EEH PE is given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._beliefs import FREEZE_LIMIT
from harness.events._requests import EEH_DEBUGFS, between, write_file
from harness.vocab.event import NEMESIS, Chooser, Event, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Subject, Topology

KERNEL_DEFAULT = 5

GENEROUS = 10_000
"""A limit that cases of one night do not reach."""


@dataclass(frozen=True)
class SetFreezeLimit(Event):
    """Give an EEH PE up once it was frozen more often than `limit` times in the last hour."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.CONTROL
    needs: ClassVar[frozenset[str]] = frozenset({"debugfs"})
    subjects: ClassVar[frozenset[Subject]] = frozenset(Subject)
    weight: ClassVar[int] = 2

    limit: int = field(metadata=between(0, (1 << 32) - 1))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """The one limit of the host."""
        return ((NEMESIS, "host"),)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """A limit that a case can reach, or the kernel's own."""
        return cls(choose.pick((KERNEL_DEFAULT, 2, 1, 0)))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write."""
        return write_file(f"{EEH_DEBUGFS}/eeh_max_freezes", str(self.limit))

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """The limit is what was written."""
        return sketch.with_setting(FREEZE_LIMIT, str(self.limit))
