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
from harness.score.ledger import Ledger
from harness.score.pool import Failed, Pool, Task
from harness.score.race import limit, run_race
from harness.score.shrinking import minimise_kill
from harness.score.sources import MACHINE, OURS, SAVED, SOURCES, UNIFORM
from harness.score.stand import topology_of
from harness.vocab.errors import Problem, UsageError
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform

if TYPE_CHECKING:
    from harness.score.operators import Generated
    from harness.score.trial import Reference

EQUIVALENT = Path("fixtures/mutants/equivalent.toml")
IMPORT_S = 10.0
"""How long the files of all mutants may take to be read: one that loops costs no more."""
_REFERENCE_SEED = 1
_TRIAL_S = 300.0
_RACE_S = 3600.0


@dataclass(frozen=True)
class Extent:
    """How much is scored: seeds of each search, cases of each race, generated mutants and their cases."""

    name: str
    seeds: Mapping[str, int]
    cases: int
    sample: int
    sample_cases: int
    is_minimised: bool
    mutants: tuple[str, ...] = ()  # all, if none is named


FULL = Extent("full", {OURS: 5, UNIFORM: 2, "blind": 1, MACHINE: 2}, 2000, 400, 400, True)
SHORT = Extent("short", {SAVED: 1, OURS: 1}, 100, 0, 0, False)


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
        mutants = tuple(registry.mutants().values())
    registry.oracles(), registry.events()  # read once, here, so that all tasks have the same
    if unknown := set(extent.mutants) - {mutant.name for mutant in mutants}:
        raise UsageError([Problem(f"unknown mutant {name!r}", "--mutant") for name in sorted(unknown)])
    if extent.mutants:
        mutants = tuple(mutant for mutant in mutants if mutant.name in extent.mutants)
    ledger = Ledger(folder, {"extent": asdict(extent)})
    found = Score(extent, ledger.results, registry.broken_mutants(), equivalent())
    try:
        _perform(extent, mutants, ledger, found, Pool(jobs), watch)
    finally:
        ledger.close()
    return found


def equivalent(path: Path = EQUIVALENT) -> dict[str, str]:
    """The reviewed survivors: the id of each, or the beginning of several, and why it is no defect."""
    if not path.exists():
        return {}
    return dict(tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", {}))


def _perform(  # noqa: PLR0917 - the parts of one score
    extent: Extent, mutants: Sequence[Mutant], ledger: Ledger, found: Score, pool: Pool, watch: Watch
) -> None:
    stopwatch = Stopwatch()
    done = 0
    try:
        for task in _tasks(extent, mutants, found):
            if task.key not in ledger.results:
                pool.add(task)
        for key, result in list(ledger.results.items()):
            _follow(extent, key, result, ledger, pool)
        for key, result in pool.results():
            if key:
                done += 1
                value = {"failed": result.why} if isinstance(result, Failed) else result
                ledger.add(key, value)
                _follow(extent, key, value, ledger, pool)
            found.seconds = stopwatch.elapsed_s
            found.missing = pool.waiting
            watch(done, done + pool.waiting, stopwatch.elapsed_s, key)
    except KeyboardInterrupt:
        found.missing = max(1, pool.waiting)
    finally:
        pool.close()


def _tasks(extent: Extent, mutants: Sequence[Mutant], found: Score) -> Iterator[Task]:
    """Our races first: the smallest cases come from them; then generated mutants; then the other searches."""
    for source, seeds in extent.seeds.items():
        if source == OURS:
            yield from _races(extent, source, seeds, mutants)
    if extent.sample:
        yield from _trials(extent, found)
    for source, seeds in extent.seeds.items():
        if source != OURS:
            yield from _races(extent, source, seeds, mutants)


def _races(extent: Extent, source: str, seeds: int, mutants: Sequence[Mutant]) -> Iterator[Task]:
    for seed in range(1, seeds + 1):
        for platform in Platform:
            do = partial(_race, source, platform, seed, extent.cases, mutants)
            yield Task(f"race/{source}/{platform.value}/{seed}", do, _RACE_S)


def _race(
    source: str, platform: Platform, seed: int, cases: int, mutants: Sequence[Mutant]
) -> dict[str, Any]:
    feed = SOURCES[source].feed(seed, cases, topology_of(platform))
    return asdict(run_race(platform, feed, cases, mutants))


def _trials(extent: Extent, found: Score) -> Iterator[Task]:
    try:
        from harness.score import operators, trial  # noqa: PLC0415 - their libraries are an extra
    except ImportError as error:
        install = "pip install '.[score]', or make environment; or --sample 0"
        raise UsageError(
            Problem(f"{error.name} is not installed", "generated mutants", "", install)
        ) from error
    everything = operators.generated()
    found.generated = len(everything)
    references: list[Reference] = []

    def do(mutant: Generated) -> dict[str, Any]:
        outcome = asdict(trial.try_mutant(mutant, references))
        return {**outcome, "line": mutant.line, "change": mutant.change}

    wanted = [
        m for m in operators.sample(everything, extent.sample) if f"generated/{m.id}" not in found.results
    ]
    if wanted:  # what is made here is shared with the processes that are forked from this one
        references += [trial.reference(p, _REFERENCE_SEED, extent.sample_cases) for p in Platform]
    for mutant in wanted:
        yield Task(f"generated/{mutant.id}", partial(do, mutant), _TRIAL_S)


def _follow(extent: Extent, key: str, result: Any, ledger: Ledger, pool: Pool) -> None:
    """The kills of our first race are made smaller."""
    kind, *rest = key.split("/")
    if not extent.is_minimised or kind != "race" or rest[0] != OURS or rest[2] != "1" or "failed" in result:
        return
    for kill in result["kills"]:
        name = f"minimised/{rest[1]}/{kill['mutant']}"
        if name not in ledger.results:
            do = partial(minimise_kill, Platform(rest[1]), kill["mutant"], kill["case"])
            pool.add(Task(name, do, _TRIAL_S))
