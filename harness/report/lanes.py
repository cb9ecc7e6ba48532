"""What a timeline is made of: lanes with bars and marks, bands, flags, rows; all of its text is fit to show.

Places and widths are pixels on a compressed axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from harness.report.axis import Break, Tick


class Bar(NamedTuple):
    """A stretch of a lane: an operation, or a state of a context. `seq` is the record to show for it.

    `beside` is a label that did not fit into the bar and stands after it.
    """

    x: float
    width: float
    style: str
    label: str
    title: str
    seq: int
    is_flagged: bool
    beside: str = ""


class Mark(NamedTuple):
    """A moment in a lane."""

    x: float
    style: str
    title: str
    seq: int
    is_flagged: bool


class Band(NamedTuple):
    """How long a phase of recovery lasted, until the next one."""

    x: float
    width: float
    phase: str
    label: str


class Flag(NamedTuple):
    """A record that proves the finding with this number (1-based)."""

    x: float
    number: int
    seq: int


@dataclass(frozen=True, slots=True)
class Lane:
    """One horizontal line: `kind` is ``nemesis``, ``actor``, ``kernel`` or ``context``."""

    title: str
    kind: str
    bars: tuple[Bar, ...] = ()
    marks: tuple[Mark, ...] = ()


class Row(NamedTuple):
    """One record as text. `left_out` counts the records between the row before and this one."""

    seq: int
    time: str
    actor: str
    kind: str
    name: str
    detail: str
    phase: str
    findings: str
    left_out: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """Everything that is drawn of one history."""

    width: float
    lanes: tuple[Lane, ...]
    bands: tuple[Band, ...]
    ticks: tuple[Tick, ...]
    breaks: tuple[Break, ...]
    flags: tuple[Flag, ...]
    rows: tuple[Row, ...]
    total: int
    notices: tuple[str, ...]
