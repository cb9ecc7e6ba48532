"""Events that only tests know."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from harness.vocab.event import Event
from harness.vocab.request import Request
from harness.vocab.topology import Platform, Topology


@dataclass(frozen=True)
class _Sample(Event):
    @classmethod
    def enabled(cls, sketch: Any, topology: Any) -> list[Any]:
        return []

    @classmethod
    def draw(cls, target: Any, sketch: Any, topology: Any, choose: Any) -> Any:
        raise NotImplementedError

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        return ()


@dataclass(frozen=True)
class Aim(_Sample):
    """An event with a field of every kind."""

    target: str
    width: int = field(default=8, metadata={"allowed": (4, 8)})
    irqs: int = field(default=0, metadata={"allowed": range(9)})
    is_hard: bool = False

    def __post_init__(self) -> None:
        if self.target == "odd":
            raise ValueError("an odd target")


@dataclass(frozen=True)
class Bare(_Sample):
    """An event without fields."""


@dataclass(frozen=True)
class OnlyVm(_Sample):
    """An event of one platform."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERVM})


SAMPLES: dict[str, type[Event]] = {"Aim": Aim, "Bare": Bare, "OnlyVm": OnlyVm}
