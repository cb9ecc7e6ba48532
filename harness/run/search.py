"""Which case comes next: fresh ones that lean to what was seldom seen, and variations of cases that found.

The rules:
1. A case that covers something that no case covered before joins the corpus.
2. Most cases are fresh; some are made of one or two of the corpus, mostly of its youngest; and each case that
   the corpus had from the beginning is performed once.
3. The interleavings of small cases of the corpus are gone through one after the other (`gen.exploration`), on
   hosts that can say what there was to choose from.
4. What was learnt of a case counts from LAG cases later on, so that the next case depends on the numbers of
   cases alone, never on how many are under way: on deterministic hosts a campaign is the same for its seed.
5. No case is given twice. After REPEATS_MAX repetitions in a row there is nothing new to draw.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from harness.gen.choosers import SeededChooser
from harness.gen.exploration import Exploration
from harness.gen.rarity import NOTHING_SEEN, Rarity
from harness.gen.vary import body
from harness.run.executed import Executed
from harness.vocab.case import Case
from harness.vocab.coverage import Covered
from harness.vocab.topology import Topology

LAG = 32
"""Cases after which what was learnt of one counts; no host has so many under way."""
REPEATS_MAX = 1_000
PARENTS_MAX = 512
"""Most cases of the corpus that are varied: the youngest."""

_LEAN_EVERY = 32
_VARIED_PERCENT = 30
_EXPLORED_PERCENT = 8
_SMALL_STEPS = 16
_BOUND = 2
_INTERLEAVINGS_MAX = 400
_YOUNG = 64
_SALT = 0x5EED_C0DE_5EED_C0DE  # so that the choice of a parent does not repeat the choices of the case


class Drawing(Protocol):
    """Makes cases of seeds: `harness.gen.source.Source`, or anything like it."""

    def fresh(self, seed: int, topology: Topology, rarity: Rarity = NOTHING_SEEN, /) -> Case:
        """The case that `seed` stands for."""
        ...

    def varied(
        self, seed: int, parents: Sequence[Case], topology: Topology, rarity: Rarity = NOTHING_SEEN, /
    ) -> Case:
        """A case made of `parents`."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """A case that covered something new, and what."""

    case: Case
    new: frozenset[Covered]


@dataclass(frozen=True, slots=True)
class _Learnt:
    """What a performance told."""

    case: Case
    is_new: bool
    covered: frozenset[Covered]
    options: Sequence[int]


class Search:
    """The cases of one host of one campaign, without end."""

    def __init__(
        self,
        draw: Drawing,
        topology: Topology,
        seed_of: Callable[[int], int],
        corpus: Iterable[Case] = (),
    ) -> None:
        """`seed_of` gives the seed of each case by its number, from 1 on; `corpus` are earlier cases."""
        self.repeated = 0  # cases that were drawn, and had been executed
        self._draw = draw
        self._topology = topology
        self._seed_of = seed_of
        self._untried = deque(corpus)
        self._parents: deque[Case] = deque(maxlen=PARENTS_MAX)
        self._executed = Executed()
        self._seen: set[Covered] = set()
        self._counts: Counter[Covered] = Counter()  # of cases that were taken in
        self._rarity = NOTHING_SEEN
        self._numbers: dict[str, int] = {}  # of cases under way, by id
        self._learnt: deque[tuple[int, _Learnt]] = deque()
        self._explored: Case | None = None
        self._exploration = Exploration(most=0)
        self._small: deque[Case] = deque(maxlen=PARENTS_MAX)
        self._number = 0

    def executed(self, case: Case) -> None:
        """A case was executed that did not come from here, as saved ones do."""
        self._executed.add(case.id)

    def next(self) -> tuple[int, Case] | None:
        """Seed and case of the next one; None when only repetitions are drawn."""
        for _ in range(REPEATS_MAX):
            self._number += 1
            self._take_in()
            seed = self._seed_of(self._number)
            case = self._case(seed)
            if self._executed.add(case.id):
                self._numbers[case.id] = self._number
                return seed, case
            self.repeated += 1
        return None

    def refused(self, case: Case) -> None:
        """The case was not performed, not to its end, or in vain."""
        if number := self._numbers.pop(case.id, 0):
            self._learnt.append((number, _Learnt(case, False, frozenset(), ())))

    def learn(self, case: Case, covered: frozenset[Covered], options: Sequence[int] = ()) -> Found | None:
        """Note what `case` covered; gives what of that was new.

        `options` is how many tasks each decision was among, where the host says.
        """
        new = covered - self._seen
        self._seen |= new
        number = self._numbers.pop(case.id, 0)  # saved cases have none, and come before all others
        self._learnt.append((number, _Learnt(case, bool(new), covered, options)))
        return Found(case, new) if new else None

    def _take_in(self) -> None:
        """Let what was learnt long enough ago count."""
        while self._learnt and self._learnt[0][0] <= self._number - LAG:
            _, learnt = self._learnt.popleft()
            self._counts.update(learnt.covered)
            if learnt.is_new:
                self._parents.append(learnt.case)
                if len(body(learnt.case)) <= _SMALL_STEPS:
                    self._small.append(learnt.case)
            if self._explored and learnt.case.steps == self._explored.steps:
                self._exploration.learn(learnt.case.schedule, learnt.options)
        if self._number % _LEAN_EVERY == 0:
            self._rarity = Rarity.of(self._counts)

    def _interleaving(self) -> Case | None:
        """A small case of the corpus in its next interleaving."""
        if self._exploration.is_over and self._small:
            self._explored = self._small.popleft()
            self._exploration = Exploration(_BOUND, _INTERLEAVINGS_MAX)
        schedule = self._exploration.next()
        if not (schedule and self._explored):
            return None
        return replace(self._explored, schedule=schedule, origin=f"{self._explored.id} explored")

    def _case(self, seed: int) -> Case:
        choose = SeededChooser(seed ^ _SALT)
        if self._untried and choose.chance(_VARIED_PERCENT):
            case = self._untried.popleft()
            self._parents.append(case)
            return case
        if choose.chance(_EXPLORED_PERCENT) and (interleaved := self._interleaving()):
            return interleaved
        if self._parents and choose.chance(_VARIED_PERCENT):
            young = len(self._parents) - _YOUNG if choose.chance(50) else 0
            parents = [self._parents[choose.integer(max(0, young), len(self._parents) - 1)] for _ in range(2)]
            return self._draw.varied(seed, parents, self._topology, self._rarity)
        return self._draw.fresh(seed, self._topology, self._rarity)
