"""A compressed axis of time: every record gets its own place, and waiting takes little room.

A recovery is bursts of microseconds between seconds of waiting. On a linear axis the bursts would be one
pixel wide. Here the distance to the next record grows with the logarithm of the time between them, so that
order is always visible; real times stand at the ticks, and long waits are drawn as breaks with their length.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from math import log10
from typing import NamedTuple

from harness.report.figures import moment
from harness.vocab.history import Record

_STEP_PX = 7.0
_DECADE_PX = 2.6
_BREAK_US = 20_000
_BREAK_PX = 56.0
_TICK_PX = 74.0
_MARGIN_PX = 14.0
_COMFORTABLE_PX = 1000.0  # a short history is stretched to about this, but not without limit
_MOST_STRETCH = 2.5


class Tick(NamedTuple):
    """A moment that is labelled."""

    x: float
    label: str


class Break(NamedTuple):
    """A long wait between two records."""

    x: float
    width: float
    label: str


def _step_px(gap_us: int) -> float:
    return _BREAK_PX if gap_us >= _BREAK_US else _STEP_PX + _DECADE_PX * log10(1 + gap_us)


class Axis:
    """Places of the `records` that are shown, in pixels from the left. `records` is not empty."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._seqs = [record.seq for record in records]
        gaps_us = [max(0, after.time_us - before.time_us) for before, after in pairwise(records)]
        steps = [_step_px(gap_us) for gap_us in gaps_us]
        stretch = min(_MOST_STRETCH, max(1.0, _COMFORTABLE_PX / (sum(steps) or 1)))
        self._places = [_MARGIN_PX]
        breaks = []
        for gap_us, natural in zip(gaps_us, steps, strict=True):
            x, step = self._places[-1], natural * stretch
            if gap_us >= _BREAK_US:
                breaks.append(Break(x + _STEP_PX, step - 2 * _STEP_PX, f"+{moment(gap_us)}"))
            self._places.append(x + step)
        self.breaks = tuple(breaks)
        self.ticks = tuple(self._ticks(records))
        self.width = self._places[-1] + _TICK_PX

    def at(self, seq: int) -> float:
        """Where the record `seq` is, or the next one that is shown."""
        index = bisect_left(self._seqs, seq)
        return self._places[min(index, len(self._places) - 1)]

    def _ticks(self, records: Sequence[Record]) -> list[Tick]:
        """Moments as far apart as a label is wide; within a burst, the time since the tick before."""
        ticks: list[Tick] = []
        last_us, last_label = 0, ""
        for record, x in zip(records, self._places, strict=True):
            if ticks and x < ticks[-1].x + _TICK_PX:
                continue
            label = moment(record.time_us)
            ticks.append(Tick(x, f"+{moment(record.time_us - last_us)}" if label == last_label else label))
            last_us, last_label = record.time_us, label
        return ticks
