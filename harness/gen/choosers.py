"""The seeded source of choices for bulk campaigns: the same seed, the same choices, on any machine for ever.

It is splitmix64, written out, because the standard library promises no stable sequence for its choices. The
other source, Hypothesis' draws, is in `strategy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

_T = TypeVar("_T")

SEED_BITS = 64
_MASK = (1 << SEED_BITS) - 1
_STRIDE = 0x9E37_79B9_7F4A_7C15


_SLICE_BITS = 16
_SLICE_VALUES = 1 << _SLICE_BITS
_FEW = 1 << 10  # so few that 16 bits favour none of them by more than a 64th


class SeededChooser:
    """Choices that follow from `seed`, a whole number of which the low 64 bits count.

    Nearly all choices are among few options, so a word of the sequence serves four of them, 16 bits each.
    """

    __slots__ = ("_slices", "_state")

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK
        self._slices = 1  # what is left of the last word, below a one that marks its end

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        options = high - low + 1
        if options > _FEW:
            return low + (self._word() * options >> SEED_BITS)
        slices = self._slices
        if slices == 1:
            slices = self._word() | 1 << SEED_BITS
        self._slices = slices >> _SLICE_BITS
        return low + ((slices & _SLICE_VALUES - 1) * options >> _SLICE_BITS)

    def _word(self) -> int:
        self._state = word = (self._state + _STRIDE) & _MASK
        word = (word ^ word >> 30) * 0xBF58_476D_1CE4_E5B9 & _MASK
        word = (word ^ word >> 27) * 0x94D0_49BB_1331_11EB & _MASK
        return word ^ word >> 31

    def pick(self, options: Sequence[_T]) -> _T:
        """One of `options`, which is not empty."""
        return options[self.integer(0, len(options) - 1)]

    def weighted(self, options: Sequence[_T], weights: Sequence[int]) -> _T:
        """One of `options`, drawn in proportion to `weights`."""
        return options[weighted_index(self.integer(0, sum(weights) - 1), weights)]

    def chance(self, percent: int) -> bool:
        """True in about `percent` of a hundred draws."""
        return self.integer(0, 99) >= 100 - percent


def weighted_index(ticket: int, weights: Sequence[int]) -> int:
    """Whose ticket it is, when each index holds as many as its weight, counted from 0 on."""
    for index, end in enumerate(accumulate(weights)):
        if ticket < end:
            return index
    raise ValueError(f"ticket {ticket} of only {sum(weights)}")
