"""The figures of a score, worked out from the results of its tasks. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from harness.score.sources import MACHINE, OURS, SAVED, UNIFORM
from harness.vocab.coverage import Covered

_LONG = 40
"""From so many steps on a case counts as one of about fifty."""


@dataclass(slots=True)
class Search:
    """One search against the named mutants: a trial is one mutant on one platform with one seed."""

    name: str
    trials: int = 0
    cases: list[float] = field(default_factory=list)  # to the kill; infinite for a survivor
    seconds: list[float] = field(default_factory=list)
    performed: int = 0
    false_alarms: Counter[str] = field(default_factory=Counter)
    survivors: Counter[str] = field(default_factory=Counter)

    @property
    def killed(self) -> int:
        """How many trials ended with a kill."""
        return sum(value < inf for value in self.cases)


@dataclass(slots=True)
class Healthy:
    """Cases on the healthy simulator alone: what was performed, and every finding."""

    cases: int = 0
    steps: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    covered: set[Covered] = field(default_factory=set)
    alarms: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Figures:
    """Everything that the table shows."""

    searches: dict[str, Search] = field(default_factory=dict)
    oracles: dict[str, Counter[str]] = field(default_factory=dict)  # kills by oracle: named, generated
    slowest: list[tuple[float, str]] = field(default_factory=list)
    words: Counter[str] = field(default_factory=Counter)  # of generated mutants
    survivors: list[str] = field(default_factory=list)  # generated, and not explained
    ratios: list[float] = field(default_factory=list)  # minimised length by the shortest known
    lengths: list[int] = field(default_factory=list)
    executions: list[int] = field(default_factory=list)
    minimised: int = 0
    one_minimal: int = 0
    host_downs: int = 0
    failing_on_healthy: list[str] = field(default_factory=list)
    survived_all: set[str] = field(default_factory=set)  # named mutants: neither drawn nor saved cases
    broken: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)  # tasks that gave no result
    healthy: Healthy = field(default_factory=Healthy)


def figures(
    results: Mapping[str, Any],
    platforms: Mapping[str, Sequence[str]],
    equivalent: Mapping[str, str],
    shortest: Mapping[str, int],
) -> Figures:
    """Work out all figures; `platforms` are those of each named mutant."""
    found = Figures()
    to_kill: dict[str, list[float]] = {}
    for key, result in results.items():
        kind, _, rest = key.partition("/")
        if "failed" in result:
            found.failed[key] = result["failed"]
        elif kind == "race":
            _race(found, rest, result, platforms, to_kill)
        elif kind == "generated":
            _trial(found, rest, result, equivalent)
        elif kind == "healthy":
            _healthy(found.healthy, result)
        elif kind == "minimised":
            _minimised(found, rest, result, shortest)
    for name in found.searches[OURS].survivors if OURS in found.searches else ():
        if SAVED not in found.searches or name in found.searches[SAVED].survivors:
            found.survived_all.add(name)
    medians = [(median(values), name) for name, values in to_kill.items()]
    found.slowest = sorted(medians, reverse=True)[:10]
    return found


def _race(
    found: Figures,
    rest: str,
    result: Mapping[str, Any],
    platforms: Mapping[str, Sequence[str]],
    to_kill: dict[str, list[float]],
) -> None:
    source, platform, _seed = rest.split("/")
    search = found.searches.setdefault(source, Search(source))
    kills = {kill["mutant"]: kill for kill in result["kills"]}
    search.performed += result["cases"]
    search.false_alarms.update(result["false_alarms"])
    for mutant, where in platforms.items():
        if platform not in where:
            continue
        name = f"{mutant} on {platform}"
        kill = kills.get(mutant)
        search.trials += 1
        search.cases.append(kill["number"] if kill else inf)
        search.seconds.append(kill["seconds"] if kill else inf)
        if source == OURS:
            to_kill.setdefault(name, []).append(search.cases[-1])
        if not kill:
            search.survivors[name] += 1
        elif source == OURS:
            for oracle in _oracles(kill["signatures"]):
                found.oracles.setdefault(oracle, Counter())["named"] += 1
    for mutant, why in result["broken"].items():
        found.broken[mutant] = why


def _healthy(found: Healthy, result: Mapping[str, Any]) -> None:
    found.cases += result["cases"]
    found.steps += result["steps"]
    found.verdicts.update(result["verdicts"])
    found.covered.update(Covered(*item) for item in result["covered"])
    found.alarms.update(alarm["signature"] for alarm in result["alarms"])


def _oracles(signatures: Sequence[str]) -> Iterator[str]:
    yield from dict.fromkeys(signature.partition("/")[0] for signature in signatures)


def _trial(found: Figures, name: str, result: Mapping[str, Any], equivalent: Mapping[str, str]) -> None:
    word = result["word"]
    if word == "survived" and name in equivalent:
        word = "equivalent"
    found.words[word] += 1
    if word == "survived":
        found.survivors.append(f"{name}, line {result['line']}: {result['change']}")
    for oracle in _oracles(result["signatures"]):
        found.oracles.setdefault(oracle, Counter())["generated"] += 1


def _minimised(found: Figures, name: str, result: Mapping[str, Any], shortest: Mapping[str, int]) -> None:
    found.minimised += 1
    found.one_minimal += result["is_one_minimal"]
    found.host_downs += result["host_downs"]
    found.lengths.append(result["steps"])
    known = min(result["steps"], shortest.get(f"{name} {result['signature']}", result["steps"]))
    found.ratios.append(result["steps"] / known)
    if result["from"] >= _LONG:
        found.executions.append(result["executions"])
    if result["fails_on_healthy"]:
        found.failing_on_healthy.append(name)


def ratio(found: Figures, other: str) -> tuple[float, float, float]:
    """Median cases to kill of our search, of another, and the one divided by the other."""
    ours = median(found.searches[OURS].cases) if OURS in found.searches else inf
    theirs = median(found.searches[other].cases) if other in found.searches else inf
    return ours, theirs, (ours / theirs if theirs < inf else 0.0) if ours < inf else inf


def median(values: Sequence[float]) -> float:
    """The middle value, the mean of the two middle ones of an even number; infinite of none."""
    return quantile(values, 0.5)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie, between two of them; infinite of none."""
    ordered = sorted(values)
    if not ordered:
        return inf
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    if ordered[high] == inf:
        return inf if place > low else ordered[low]
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


COMPARED = {UNIFORM: 0.2, MACHINE: 0.5}
"""The searches that ours is measured against, and the ratio of median cases to kill that is to be reached."""
