"""What a comparison of two hosts gives: a Difference with a stable signature, or why something is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from harness.run.twincourse import Place
from harness.run.twinoutcome import slug
from harness.run.twinstory import Story

TOLERANCES: Mapping[str, str] = {
    "timing": (
        "the operation lies before the driver's reaction on one host and after it on the other, or in the "
        "middle of it: each host may detect within its own period"
    ),
    "delivery": "an interrupt of the AFU is under way: how long that takes is the host's affair",
    "race": "two processes use the same registers at once: who comes first is chance",
    "fleeting": "a reset is the AFU's trouble for a moment, and is noticed or not, as the check falls",
    "consequence": (
        "an operation on the same descriptor, or of the same actor, ended otherwise on the two hosts before, "
        "or others came and went in another order for that reason"
    ),
    "trigger": (
        "the step waits for a moment that came on one host only; that the moment is missing is a difference "
        "of its own"
    ),
    "answer": (
        "PHYP was told to answer the next calls of an hcall that the periodic check makes, too: who meets "
        "the answer is chance"
    ),
    "unfinished": "the history ends before everything can have been noticed, so more may have followed",
    "overlap": (
        "an administrator's reset, or a recovery by force, met another trouble: they take turns on one host, "
        "and on another they go on side by side, or the one swallows the other"
    ),
    "merged": "two errors of one AFU within a period are one recovery or two, as the check falls",
    "source": "the other host has no source for such lines, or they do not say whom they are about",
}
"""Why something that differs is no difference."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: what it is about, what each host has there, and the records that show it.

    `subject` is the AFU or card that the kernel tells of; empty where it is about nobody, or an operation's.
    """

    kind: str
    about: str
    a: str
    b: str
    records_a: tuple[int, ...] = ()
    records_b: tuple[int, ...] = ()
    step: int = -1
    subject: str = ""
    exact_a: str = ""
    exact_b: str = ""

    @property
    def signature(self) -> str:
        """Its stable name: ``kind/about-A-not-B``."""
        return f"{self.kind}/{slug(self.about)}-{slug(self.a)}-not-{slug(self.b)}"

    @property
    def sentence(self) -> str:
        """For people."""
        where = f" (step {self.step})" if self.step >= 0 else ""
        return f"{self.kind} {self.about}{where}: {self.exact_a or self.a} | {self.exact_b or self.b}"


class Tolerated(NamedTuple):
    """Something that differs for the reason that TOLERANCES has under `rule`."""

    rule: str
    about: str


class Compared(NamedTuple):
    """What came of one comparison; `operations` is how many were compared."""

    differences: tuple[Difference, ...]
    tolerated: tuple[Tolerated, ...]
    operations: int

    @property
    def signatures(self) -> frozenset[str]:
        """The signatures of all differences."""
        return frozenset(item.signature for item in self.differences)


class Pair(NamedTuple):
    """The stories of one case on both hosts."""

    a: Story
    b: Story

    @property
    def fleeting(self) -> frozenset[str]:
        """AFUs with a fleeting trouble that a check has caught on one host only."""
        return frozenset(afu for afu, _ in self.a.caught ^ self.b.caught)

    @property
    def overlapped(self) -> frozenset[tuple[str, Place]]:
        """What was asked of the driver while a check of it acted, on both hosts, each with its AFU."""
        return frozenset(item for item in self.a.caught & self.b.caught if self.a.is_request(item[1]))
