"""The search: what is new joins, what was rare is drawn more, nothing comes twice, and all by the seed."""

from __future__ import annotations

from collections import Counter

import pytest

from harness import registry
from harness.gen.rarity import Rarity
from harness.gen.rules import DrawRules
from harness.gen.source import Source
from harness.hosts.inproc import InprocHost
from harness.run import search as search_module
from harness.run.coverage import covered
from harness.run.executed import Executed
from harness.run.runner import Runner
from harness.run.search import LAG, Search
from harness.sim.host import SimulatedHost
from harness.vocab.coverage import Covered
from harness.vocab.topology import Platform
from tests.run.cases import OPEN, Drawn, case, pause
from tests.topologies import POWERVM

SOURCE = Source(DrawRules(), tuple(registry.events().values()))


def searching(corpus=()) -> Search:
    return Search(SOURCE, POWERVM, lambda number: 7_000 + number, corpus)


def play(search: Search, count: int, late: int = 0) -> list[str]:
    """Ids of the next cases; what each covers is learnt `late` cases later, as when several are under way."""
    ids, waiting = [], []
    for number in range(count):
        _, drawn = search.next()
        ids.append(drawn.id)
        waiting.append(drawn)
        if len(waiting) > late:
            done = waiting.pop(0)
            search.learn(done, frozenset({Covered("Open", f"{number % 40}", done.id[0])}))
    return ids


def test_a_search_is_the_same_for_its_seed_however_many_cases_are_under_way() -> None:
    assert play(searching(), 300) == play(searching(), 300)
    assert play(searching(), 300)[:LAG] == play(searching(), 300, late=8)[:LAG]
    fixed = [frozenset({Covered("Open", str(number % 50), "opened")}) for number in range(300)]

    def ids(late: int) -> list[str]:
        search, waiting, found = searching(), [], []
        for number in range(300):
            waiting.append((search.next()[1], fixed[number]))
            found.append(waiting[-1][0].id)
            if len(waiting) > late:
                search.learn(*waiting.pop(0))
        return found

    assert ids(0) == ids(7) == ids(LAG - 1)


def test_cases_of_the_corpus_are_performed_once_and_varied() -> None:
    corpus = [SOURCE.fresh(seed, POWERVM) for seed in range(1, 6)]
    search = searching(corpus)
    drawn = [search.next()[1] for _ in range(200)]
    ids = Counter(found.id for found in drawn)
    assert all(ids[kept.id] == 1 for kept in corpus)
    assert sum(any(kept.id in found.origin for kept in corpus) for found in drawn) > 20


def test_what_covers_something_new_is_varied_later() -> None:
    search = searching()
    first = search.next()[1]
    assert search.learn(first, frozenset({Covered("Open", "idle", "opened")})).case is first
    later = [search.next()[1] for _ in range(200)]
    assert search.learn(later[0], frozenset({Covered("Open", "idle", "opened")})) is None
    assert any(first.id in found.origin for found in later)
    assert not any(first.id in found.origin for found in later[: LAG - 1])


def test_a_case_comes_once_and_the_search_ends_when_nothing_new_is_drawn(monkeypatch) -> None:
    monkeypatch.setattr(search_module, "REPEATS_MAX", 50)
    search = Search(Drawn(lambda seed, _: case(OPEN, pause(seed % 3))), POWERVM, lambda number: number)
    search.executed(case(OPEN, pause(2)))
    found = []
    while item := search.next():
        found.append(item[1].id)
    assert sorted(found) == sorted({case(OPEN, pause(ms)).id for ms in (0, 1)})
    assert search.repeated >= 50


def test_what_was_seen_seldom_is_drawn_more() -> None:
    """Everything but one event was seen often; and that event was seen in all phases but one."""
    names = [cls.__name__ for cls in SOURCE.events]
    seen = {Covered(name, phase, "x"): 1000 for name in names for phase in ("", "quiesce", "reset")}

    def share(rarity: Rarity) -> float:
        drawn = [SOURCE.fresh(seed, POWERVM, rarity) for seed in range(400)]
        counts = Counter(type(step.event).__name__ for found in drawn for step in found.steps)
        return counts["QueryContext"] / counts.total()

    without = {item: count for item, count in seen.items() if item.event != "QueryContext"}
    assert share(Rarity.of(without)) > 1.2 * share(Rarity.of(seen))

    def early(rarity: Rarity) -> float:
        drawn = [SOURCE.fresh(seed, POWERVM, rarity) for seed in range(400)]
        phases = Counter(step.when.phase for found in drawn for step in found.steps if step.when.phase)
        return phases["quiesce"] / phases.total()

    late = {item: count for item, count in seen.items() if item.phase != "quiesce"}
    often = seen | {Covered(name, "detected", "x"): 1 for name in names}
    assert early(Rarity.of(late)) > 1.2 * early(Rarity.of(often))


def test_executed_cases_are_known_and_others_hardly_ever() -> None:
    executed = Executed()
    ids = [f"{number * 0x9E3779B97F4A7C15 % (1 << 48):012x}" for number in range(40_000)]
    assert sum(executed.add(name) for name in ids[:20_000]) > 19_990
    assert all(name in executed for name in ids[:20_000])
    assert sum(name in executed for name in ids[20_000:]) < 10


def test_executed_cases_are_forgotten_only_when_many_came_after(monkeypatch) -> None:
    monkeypatch.setattr("harness.run.executed._MOST", 100)
    executed = Executed()
    ids = [f"{number * 0x9E3779B97F4A7C15 % (1 << 48):012x}" for number in range(300)]
    for number, name in enumerate(ids):
        executed.add(name)
        assert all(kept in executed for kept in ids[max(0, number - 99) : number + 1])
    assert ids[0] not in executed


@pytest.mark.parametrize("platform", list(Platform), ids=lambda platform: platform.value)
def test_coverage_of_the_simulated_host_grows_and_has_every_state(platform) -> None:
    runner = Runner(lambda: InprocHost("sim://x", SimulatedHost(platform)))
    total: set[Covered] = set()
    sizes = []
    for seed in range(60):
        total |= covered(runner.perform(SOURCE.fresh(seed, runner.topology)).history)
        sizes.append(len(total))
    assert sizes[5] < sizes[20] < sizes[-1]
    assert {item.state for item in total} == {"no-context", "opened", "started", "closed"}
    phases = {item.phase for item in total}
    assert {"idle", "undetected", "quiesce", "context-purged", "reset", "recovered"} <= phases
    assert not {"Await", "Snapshot", "ProbeCapacity"} & {item.event for item in total}
