"""What an event is: one intended stimulus, a frozen dataclass with four small duties.

An event class lives in a file of its own under ``harness/events/``. Its fields are plain ``str``, ``int`` and
``bool`` values; a field's allowed values stand in ``metadata["allowed"]``. It is known to saved cases by its
class name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import Enum
from functools import cache
from typing import Any, ClassVar, Protocol, Self, TypeVar

from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import BOTH_PLATFORMS, Platform, Subject, Topology

NEMESIS = "nemesis"
HARNESS = "harness"
KERNEL = "kernel"
PROBE = "probe"
RESERVED_ACTORS = frozenset({NEMESIS, HARNESS, KERNEL, PROBE})

_T = TypeVar("_T")


class Chooser(Protocol):
    """Where choices come from: Hypothesis' draws, or a seeded random source."""

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        ...

    def pick(self, options: Sequence[_T]) -> _T:
        """One of `options`, which is not empty."""
        ...

    def weighted(self, options: Sequence[_T], weights: Sequence[int]) -> _T:
        """One of `options`, drawn in proportion to `weights`."""
        ...

    def chance(self, percent: int) -> bool:
        """True in about `percent` of a hundred draws."""
        ...


class Role(Enum):
    """What an event is for in a case."""

    WORKLOAD = "workload"  # what applications do
    ERROR = "error"  # makes the hardware or the firmware fail
    CONTROL = "control"  # what an administrator does: resets, policies, unbind
    CLOSING = "closing"  # waits, probes and snapshots


class Fate(Enum):
    """What the hardware's state should lead to when an ERROR event has really acted."""

    RECOVERY = "recovery"  # detected, contexts purged, available again
    PERMANENT = "permanent"  # detected, contexts purged, declared failed for good
    HIDDEN = "hidden"  # may stay unnoticed: over before the driver looks, or waits for an access
    HARMLESS = "harmless"  # corrected, or one context's affair: must not start a recovery


Target = tuple[str, str]
"""Who does it, and to what: an actor's name and a subject (an fd, an AFU, a card)."""


@dataclass(frozen=True)
class Event(ABC):
    """One intended stimulus."""

    role: ClassVar[Role] = Role.WORKLOAD
    fate: ClassVar[Fate] = Fate.HARMLESS
    platforms: ClassVar[frozenset[Platform]] = BOTH_PLATFORMS
    needs: ClassVar[frozenset[str]] = frozenset()  # features of the Topology
    subjects: ClassVar[frozenset[Subject]] = frozenset({Subject.CARDS})  # in whose cases it is drawn
    weight: ClassVar[int] = 10  # how often the generator draws it, beside the others

    @classmethod
    @abstractmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """The targets that make sense now; none: the event is not drawn."""

    @classmethod
    @abstractmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """The event for `target`, its details chosen."""

    @abstractmethod
    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """The primitives that perform it. A failing one ends the step, except for `is_always` ones."""

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """What is believed afterwards. By default nothing has changed."""
        return sketch

    def fits(self, sketch: Sketch) -> bool:
        """Whether what its fate says is true after all that is believed to have happened. By default yes."""
        return True

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """Names of the AFUs and devices that this may disturb; no other may notice. By default none."""
        return frozenset()

    @property
    def details(self) -> dict[str, Any]:
        """The fields as plain values, in order."""
        return {name: getattr(self, name) for name in _field_names(type(self))}


@cache
def _field_names(event: type[Event]) -> tuple[str, ...]:
    return tuple(item.name for item in fields(event))
