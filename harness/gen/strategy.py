"""Cases as a Hypothesis strategy: for exploring, targeting, and shrinking in tests.

The walk is the one of `cases`; only the choices come from Hypothesis. Every choice shrinks towards the first
option, and the first option of a free slot is to do nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

from hypothesis.strategies import DrawFn, SearchStrategy, composite, integers

from harness.gen.cases import draw_case
from harness.gen.choosers import weighted_index
from harness.gen.rules import DrawRules
from harness.vocab.case import Case
from harness.vocab.event import Event
from harness.vocab.topology import Topology

_T = TypeVar("_T")

_FAR = 1 << 64
"""Numbers are drawn from here on: near zero Hypothesis prefers the small ones, which are not better here."""


class DrawChooser:
    """Choices that Hypothesis makes, and shrinks."""

    __slots__ = ("_draw",)

    def __init__(self, draw: DrawFn) -> None:
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + self._draw(_offsets(high - low)) - _FAR

    def pick(self, options: Sequence[_T]) -> _T:
        """One of `options`, which is not empty."""
        return options[self.integer(0, len(options) - 1)]

    def weighted(self, options: Sequence[_T], weights: Sequence[int]) -> _T:
        """One of `options`, drawn in proportion to `weights`."""
        return options[weighted_index(self.integer(0, sum(weights) - 1), weights)]

    def chance(self, percent: int) -> bool:
        """True in about `percent` of a hundred draws; shrinks to False."""
        return self.integer(0, 99) >= 100 - percent


def cases(topology: Topology, rules: DrawRules, events: Sequence[type[Event]]) -> SearchStrategy[Case]:
    """Cases for `topology`. Raises UsageError for rules that name unknown events."""
    return _cases(topology, rules, tuple(events))


def seeds() -> SearchStrategy[int]:
    """Seeds for `case_from_seed`: 32 bits, each as likely as any other."""
    return _offsets((1 << 32) - 1).map(lambda number: number - _FAR)


@composite
def _cases(draw: DrawFn, topology: Topology, rules: DrawRules, events: tuple[type[Event], ...]) -> Case:
    return draw_case(DrawChooser(draw), topology, rules, events, "hypothesis")


@lru_cache(maxsize=1024)
def _offsets(most: int) -> SearchStrategy[int]:
    return integers(_FAR, _FAR + most)
