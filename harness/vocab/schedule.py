"""Who goes next on a deterministic host: the strategy by which a case's interleaving is chosen, as a value.

A *decision* is a moment when two or more tasks could go on. Decisions are counted from 0, from the beginning
of the case. Choice 0 of a decision is the task that has just run, if it can go on, else the one that has been
ready longest; 1 and up are the others in the order of their becoming ready. So a schedule without decisions
runs each task until it must wait, and every other interleaving is a few decisions away from that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Strategy(Enum):
    """How decisions are made."""

    RANDOM = "random"  # each task that can go on is as likely
    PRIORITY = "priority"  # tasks have drawn ranks, and the first of them runs until one of a few changes
    DECISIONS = "decisions"  # as listed, and choice 0 otherwise


SEED_MAX = (1 << 64) - 1
CHANGES_MAX = 1_000
INDEX_MAX = 1 << 24
CHOICE_MAX = 1_000
DECISIONS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Schedule:
    """One way to interleave a case.

    `seed` is for the strategies that draw. With PRIORITY, `changes` times among the first `within` decisions
    the task that is about to run falls behind all others: a race of depth d needs d - 1 changes (PCT,
    Burckhardt et al. 2010). With DECISIONS, `decisions` are pairs of index and choice, in ascending order.
    """

    strategy: Strategy = Strategy.RANDOM
    seed: int = 0
    changes: int = 0
    within: int = 0
    decisions: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of_seed(cls, seed: int) -> Schedule:
        """The random walk of `seed`."""
        return cls(Strategy.RANDOM, seed)

    def to_json(self) -> int | dict[str, object]:
        """As saved cases and play lines have it: a number is the seed of a random walk."""
        if self.strategy is Strategy.RANDOM:
            return self.seed
        if self.strategy is Strategy.PRIORITY:
            return {
                "strategy": self.strategy.value,
                "seed": self.seed,
                "changes": self.changes,
                "within": self.within,
            }
        return {"strategy": self.strategy.value, "decisions": [list(pair) for pair in self.decisions]}

    def __str__(self) -> str:
        """For people: ``random 42``, ``priority 7 with 3 changes in 400``, ``2 decisions``."""
        if self.strategy is Strategy.RANDOM:
            return f"random {self.seed}"
        if self.strategy is Strategy.PRIORITY:
            changes = "1 change" if self.changes == 1 else f"{self.changes} changes"
            return f"priority {self.seed} with {changes} in {self.within}"
        count = len(self.decisions)
        return "1 decision" if count == 1 else f"{count} decisions" if count else "each until it waits"


ANY = Schedule()
"""For cases whose interleaving does not matter."""

UNTIL_IT_WAITS = Schedule(Strategy.DECISIONS)
"""Each task runs until it must wait: the interleaving that every other one is measured from."""
