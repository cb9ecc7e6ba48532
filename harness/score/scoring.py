"""A whole score: races of all searches, smallest cases, generated mutants; on all processors, resumable."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import registry
from harness.run.deadline import Stopwatch
from harness.score.healthy import perform_piece, pieces
from harness.score.ledger import Ledger
from harness.score.pool import Failed, Pool, Task
from harness.score.race import limit, run_race
from harness.score.shrinking import minimise_kill
from harness.score.sources import BLIND, MACHINE, OURS, SAVED, SOURCES, UNIFORM
from harness.score.stand import topology_of
from harness.vocab.errors import Problem, UsageError
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform, Subject

if TYPE_CHECKING:
    from harness.score.operators import Generated
    from harness.score.trial import Reference

EQUIVALENT = Path("fixtures/mutants/equivalent.toml")
IMPORT_S = 10.0
"""How long the files of all mutants may take to be read: one that loops costs no more."""
_REFERENCE = "reference/"  # tasks whose results are kept in memory only
_REFERENCE_SEED = 1
_TRIAL_S = 300.0
_RACE_S = 3600.0


@dataclass(frozen=True)
class Extent:
    """How much is scored: seeds of each search, cases of each race, generated mutants and their cases.

    `healthy` are cases on the healthy simulator beside those of the races.
    """

    name: str
    seeds: Mapping[str, int]
    cases: int
    sample: int
    sample_cases: int
    is_minimised: bool
    mutants: tuple[str, ...] = ()  # all, if none is named
    healthy: int = 0


FULL = Extent("full", {OURS: 3, UNIFORM: 2, BLIND: 1, MACHINE: 2}, 2000, 250, 200, True)
SHORT = Extent("short", {SAVED: 1, OURS: 1}, 100, 0, 0, False)
HEALTHY = Extent("healthy", {}, 0, 0, 0, False)


@dataclass(slots=True)
class Score:
    """All that was found, by the keys of tasks, and what is missing."""

    extent: Extent
    results: Mapping[str, Any]
    broken_files: Mapping[str, str] = field(default_factory=dict)
    equivalent: Mapping[str, str] = field(default_factory=dict)
    generated: int = 0  # how many mutants the sample was taken from
    missing: int = 0
    seconds: float = 0.0

    @property
    def is_partial(self) -> bool:
        """Whether it was interrupted."""
        return self.missing > 0


Watch = Callable[[int, int, float, str], None]
"""Told how many tasks have ended, of how many, after how many seconds, and which ended last."""


def score(extent: Extent, folder: Path, jobs: int, watch: Watch) -> Score:
    """Score, into `folder`, or go on with what is there. An interrupt ends it in order."""
    with limit(IMPORT_S):
        mutants = tuple(m for m in registry.mutants().values() if m.subject is Subject.CARDS)
    registry.oracles(), registry.events()  # read once, here, so that all tasks have the same
    if unknown := set(extent.mutants) - {mutant.name for mutant in mutants}:
        raise UsageError([Problem(f"unknown mutant {name!r}", "--mutant") for name in sorted(unknown)])
    if extent.mutants:
        mutants = tuple(mutant for mutant in mutants if mutant.name in extent.mutants)
    ledger = Ledger(folder, {"extent": asdict(extent)})
    found = Score(extent, ledger.results, registry.broken_mutants(), equivalent())
    try:
        _Performance(extent, mutants, ledger, found).run(Pool(jobs), watch)
    finally:
        ledger.close()
    return found


def equivalent(path: Path = EQUIVALENT) -> dict[str, str]:
    """The reviewed survivors: the id of each, or the beginning of several, and why it is no defect."""
    if not path.exists():
        return {}
    return dict(tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", {}))


class _Performance:
    """One score under way."""

    def __init__(self, extent: Extent, mutants: Sequence[Mutant], ledger: Ledger, found: Score) -> None:
        self._extent = extent
        self._mutants = mutants
        self._ledger = ledger
        self._found = found
        self._references: list[Reference] = []
        self._wanted: list[Generated] = []

    def run(self, pool: Pool, watch: Watch) -> None:
        """Perform what is not in the ledger; an interrupt leaves what has ended."""
        stopwatch = Stopwatch()
        done = 0
        try:
            self._begin(pool)
            for key, result in pool.results():
                if key:
                    done += 1
                    self._take(key, result, pool)
                self._found.seconds = stopwatch.elapsed_s
                self._found.missing = pool.waiting
                watch(done, done + pool.waiting, stopwatch.elapsed_s, key)
        except KeyboardInterrupt:
            self._found.missing = max(1, pool.waiting)
        finally:
            pool.close()

    def _begin(self, pool: Pool) -> None:
        """Our races first: the smallest cases come from them; then generated mutants; then other searches."""
        races = list(self._races())
        ours = [task for task in races if task.key.startswith(f"race/{OURS}/")]
        others = [task for task in races if task not in ours]
        references = self._reference_tasks() if self._extent.sample else ()
        for task in (*ours, *references, *others, *self._healthy()):
            if task.key not in self._ledger.results:
                pool.add(task)
        for key, result in list(self._ledger.results.items()):
            self._follow(key, result, pool)

    def _take(self, key: str, result: Any, pool: Pool) -> None:
        if key.startswith(_REFERENCE) and not isinstance(result, Failed):
            self._references.append(result)
            if len(self._references) == len(Platform):
                for task in self._trials():
                    pool.add(task, is_next=True)
            return
        value = {"failed": result.why} if isinstance(result, Failed) else result
        self._ledger.add(key, value)
        self._follow(key, value, pool)

    def _follow(self, key: str, result: Any, pool: Pool) -> None:
        """The kills of our first race are made smaller."""
        kind, *rest = key.split("/")
        is_first = kind == "race" and rest[0] == OURS and rest[2] == "1"
        if not (self._extent.is_minimised and is_first) or "failed" in result:
            return
        for kill in result["kills"]:
            name = f"minimised/{rest[1]}/{kill['mutant']}"
            if name not in self._ledger.results:
                do = partial(minimise_kill, Platform(rest[1]), kill["mutant"], kill["case"])
                pool.add(Task(name, do, _TRIAL_S), is_next=True)

    def _races(self) -> Iterator[Task]:
        for source, seeds in self._extent.seeds.items():
            for seed in range(1, seeds + 1):
                for platform in Platform:
                    do = partial(_race, source, platform, seed, self._extent.cases, self._mutants)
                    yield Task(f"race/{source}/{platform.value}/{seed}", do, _RACE_S)

    def _healthy(self) -> Iterator[Task]:
        for platform, seed, cases in pieces(self._extent.healthy):
            do = partial(perform_piece, platform, seed, cases)
            yield Task(f"healthy/{platform.value}/{seed}", do, _RACE_S)

    def _reference_tasks(self) -> Iterator[Task]:
        try:
            from harness.score import operators, trial  # noqa: PLC0415 - their libraries are an extra
        except ImportError as error:
            install = "pip install '.[score]', or make environment; or --sample 0"
            problem = Problem(f"{error.name} is not installed", "generated mutants", "", install)
            raise UsageError(problem) from error
        everything = operators.generated()
        self._found.generated = len(everything)
        self._wanted = [
            mutant
            for mutant in operators.sample(everything, self._extent.sample)
            if f"generated/{mutant.id}" not in self._ledger.results
        ]
        for platform in Platform if self._wanted else ():
            do = partial(trial.reference, platform, _REFERENCE_SEED, self._extent.sample_cases)
            yield Task(f"{_REFERENCE}{platform.value}", do, _RACE_S)

    def _trials(self) -> Iterator[Task]:
        from harness.score import trial  # noqa: PLC0415 - as above

        def do(mutant: Generated) -> dict[str, Any]:
            outcome = asdict(trial.try_mutant(mutant, self._references))
            return {**outcome, "line": mutant.line, "change": mutant.change}

        for mutant in reversed(self._wanted):
            yield Task(f"generated/{mutant.id}", partial(do, mutant), _TRIAL_S)


def _race(
    source: str, platform: Platform, seed: int, cases: int, mutants: Sequence[Mutant]
) -> dict[str, Any]:
    feed = SOURCES[source].feed(seed, cases, topology_of(platform))
    return asdict(run_race(platform, feed, cases, mutants))
