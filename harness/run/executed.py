"""Which cases were executed already: a set that never forgets for long and never grows (a Bloom filter).

It may say of one case in some ten thousands that it was executed when it was not: such a case is drawn over.
"""

from __future__ import annotations

_BITS = 1 << 24
_PROBES = 4
_MOST = 1 << 21
"""After so many cases the oldest are forgotten: two halves are kept, and the older one is begun anew."""


class Executed:
    """Ids of cases; each is twelve hexadecimal digits of a hash."""

    def __init__(self) -> None:
        self._halves = [bytearray(_BITS // 8), bytearray(0)]
        self._count = 0

    def add(self, case_id: str) -> bool:
        """Remember a case; False when it was known."""
        if case_id in self:
            return False
        if self._count >= _MOST:
            self._halves = [bytearray(_BITS // 8), self._halves[0]]
            self._count = 0
        self._count += 1
        for bit in _bits(case_id):
            self._halves[0][bit >> 3] |= 1 << (bit & 7)
        return True

    def __contains__(self, case_id: str) -> bool:
        bits = _bits(case_id)
        return any(half and all(half[bit >> 3] >> (bit & 7) & 1 for bit in bits) for half in self._halves)


def _bits(case_id: str) -> tuple[int, ...]:
    """The places that stand for an id: made of two halves of it (Kirsch and Mitzenmacher 2006)."""
    number = int(case_id, 16)
    first, second = number & (1 << 24) - 1, number >> 24 | 1
    return tuple((first + index * second) % _BITS for index in range(_PROBES))
