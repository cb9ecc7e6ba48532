"""What judges and what is judged: an Oracle states one truth about a good host, a Mutant is a named defect.

Every mutant names the oracles that it is made for, so that an oracle which sees nothing cannot hide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.vocab.history import History
from harness.vocab.topology import BOTH_PLATFORMS, Platform
from harness.vocab.verdict import Finding


@dataclass(frozen=True)
class Oracle:
    """One truth. `title` is a sentence in the present tense; `judge` is pure and complains by Findings."""

    name: str
    title: str
    judge: Callable[[History], Iterable[Finding]]
    platforms: frozenset[Platform] = BOTH_PLATFORMS


@dataclass(frozen=True)
class Mutant:
    """One planted defect of the simulated host.

    `killed_by` names the oracles that it is made for, one of which must catch it; `component` is the part of
    the host that it changes: ``driver``, ``phyp``, ``eeh`` or ``card``; `override` is a class whose
    transitions replace that part's own.
    """

    name: str
    title: str
    platforms: frozenset[Platform]
    killed_by: tuple[str, ...]
    component: str
    override: type
