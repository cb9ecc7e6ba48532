"""What judges and what is judged: an Oracle states one truth about a good host, a Mutant is a named defect.

Every mutant names the oracles that it is made for, so that an oracle which sees nothing cannot hide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.vocab.history import History
from harness.vocab.topology import BOTH_PLATFORMS, Platform, Subject
from harness.vocab.verdict import Finding


@dataclass(frozen=True)
class Oracle:
    """One truth. `title` is a sentence in the present tense; `judge` is pure and complains by Findings.

    `subjects` says what it can judge at all: it is not asked about a case that is about nothing of these,
    so that its silence is never taken for a pass. What a host does when something has died within its kernel
    proves nothing of its own, and a card that got the name of another is taken for that one. So an oracle
    sees only what was before, unless it `sees_all`: because it asks what killed the kernel, or what the
    run was.
    """

    name: str
    title: str
    judge: Callable[[History], Iterable[Finding]]
    platforms: frozenset[Platform] = BOTH_PLATFORMS
    subjects: frozenset[Subject] = frozenset({Subject.CARDS})
    sees_all: bool = False

    def applies_to(self, history: History) -> bool:
        """Whether it has anything to say about `history`."""
        return history.topology.platform in self.platforms and not self.subjects.isdisjoint(history.subjects)

    def findings(self, history: History) -> Iterable[Finding]:
        """What it complains of in as much of `history` as it may see."""
        return self.judge(history if self.sees_all else history.until_renaming.until_death)


ABOUT_DEVICES = frozenset({Subject.DEVICES})
ABOUT_BOTH = frozenset(Subject)


@dataclass(frozen=True)
class Mutant:
    """One planted defect of the simulated host.

    `killed_by` names the oracles that it is made for, one of which must catch it; `component` is the part of
    the host that it changes: ``driver``, ``phyp``, ``eeh``, ``card`` or ``device`` (the drivers of PCI
    devices without CAPI); `override` is a class whose transitions replace that part's own. `subject` says in
    which cases it shows.
    """

    name: str
    title: str
    platforms: frozenset[Platform]
    killed_by: tuple[str, ...]
    component: str
    override: type
    subject: Subject = Subject.CARDS
